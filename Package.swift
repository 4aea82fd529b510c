// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target of the package is built with.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    // For properties of our own that return a Span.
    .enableExperimentalFeature("Lifetimes"),
]

/// The kernels are optimised in debug builds too, and compiled once per instruction-set level from
/// one source: `level` is the compilation condition that tells the builds apart. `-Ounchecked` is
/// theirs alone: every bound is checked once by the caller in Numerical. The other flags make a
/// debug build accept whole-module optimisation of one target.
func kernels(_ name: String, level: String? = nil, _ machineFlags: [String] = []) -> Target {
    let flags =
        ["-Ounchecked", "-wmo", "-num-threads", "2", "-disable-batch-mode"]
        + machineFlags.flatMap { ["-Xcc", $0] }
    let levelSettings = level.map { [SwiftSetting.define($0)] } ?? []
    return .target(
        name: name, dependencies: ["CPlatform"],
        swiftSettings: settings + levelSettings + [.unsafeFlags(flags)])
}

#if arch(x86_64)
let wideKernels = [
    kernels("KernelsAVX2", level: "KERNELS_AVX2", ["-march=x86-64-v3"]),
    kernels(
        "KernelsAVX512", level: "KERNELS_AVX512",
        ["-march=x86-64-v4", "-mprefer-vector-width=512"]),
]
#else
let wideKernels: [Target] = []
#endif
let kernelModules: [Target.Dependency] =
    ["Kernels"] + wideKernels.map { .target(name: $0.name) }

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]
let tls: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")

/// A module of the package; a `strict` one has no unsafe construct at all, and the compiler sees
/// to it.
func module(
    _ name: String, _ dependencies: [Target.Dependency] = [], strict: Bool = false
) -> Target {
    .target(
        name: name, dependencies: dependencies,
        swiftSettings: settings + (strict ? [.strictMemorySafety()] : []))
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(
        name: name, dependencies: dependencies + ["TestSupport"], swiftSettings: settings)
}

let package = Package(
    name: "patron",
    products: [
        .executable(name: "patron", targets: ["patron"]),
        .library(name: "PatronClient", targets: ["PatronClient"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.6"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift.git", from: "0.2.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "CPlatform"),
        .target(name: "CPoll"),
        kernels("Kernels"),
        module("Units", strict: true),
        module("ByteCoding", ["CPlatform"]),
        module("Numerical", ["CPlatform"] + kernelModules),
        module("ColumnStore", ["ByteCoding", "CLZ4", "CPlatform", "Numerical", "Units"]),
        module("Wire", ["ByteCoding", "CLZ4"], strict: true),
        module(
            "Ingest", ["ByteCoding", "ColumnStore", "CPlatform", "CZlib", "Numerical", "Units"]),
        module("Synthetic", ["ByteCoding", "ColumnStore", "Numerical", "Units"]),
        module("Features", ["ByteCoding", "Numerical", "Units"], strict: true),
        module("Models", ["Numerical", "Units"], strict: true),
        module(
            "Engine",
            [
                "ByteCoding", "ColumnStore", "Features", "Ingest", "Models", "Numerical", "Units",
                .product(name: "Yams", package: "Yams"),
            ]),
        module(
            "Server",
            [
                "ByteCoding", "ColumnStore", "Engine", "Ingest", "Numerical", "Units", "Wire",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                tls,
            ] + nio),
        module("Lab", ["ByteCoding", "CLZ4", "ColumnStore", "Models", "Numerical", "Units"]),
        module(
            "Load",
            [
                "ByteCoding", "CPoll", "Numerical", "Wire",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                tls,
            ]),
        module("PatronClient", ["ByteCoding", "Wire", tls] + nio, strict: true),
        .executableTarget(
            name: "patron",
            dependencies: [
                "ByteCoding", "ColumnStore", "Engine", "Features", "Ingest", "Lab", "Load",
                "Models", "Numerical", "PatronClient", "Server", "Synthetic", "Units", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "ModelLoop", dependencies: ["Models", "Numerical", "Units"],
            path: "Benchmarks/ModelLoop", swiftSettings: settings),
        .target(
            name: "BenchmarkSuite", dependencies: ["Lab", "Models", "Numerical"],
            path: "Benchmarks/Suite", swiftSettings: settings),
        .executableTarget(
            name: "CoreLoop", dependencies: ["BenchmarkSuite", "Lab", "Numerical"],
            path: "Benchmarks/CoreLoop", swiftSettings: settings),
        .executableTarget(
            name: "LookupLoop", dependencies: ["ByteCoding", "Wire"] + nio,
            path: "Benchmarks/LookupLoop", swiftSettings: settings),
        .executableTarget(
            name: "LookupExample", dependencies: ["PatronClient"],
            path: "Examples/lookup-service", swiftSettings: settings),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
        tests("UnitsTests", ["Units"]),
        tests("ByteCodingTests", ["ByteCoding"]),
        tests("KernelsTests", kernelModules + ["Numerical"]),
        tests("NumericalTests", ["Numerical"]),
        tests("ColumnStoreTests", ["ByteCoding", "ColumnStore", "Numerical"]),
        tests("WireTests", ["ByteCoding", "Numerical", "Wire"]),
        tests("IngestTests", ["ByteCoding", "ColumnStore", "Ingest", "Numerical", "Units"]),
        tests("SyntheticTests", ["Numerical", "Synthetic", "Units"]),
        tests("FeaturesTests", ["ByteCoding", "Features", "Ingest", "Numerical", "Units"]),
        tests("ModelsTests", ["Models", "Numerical", "Units"]),
        tests("BenchmarkSuiteTests", ["BenchmarkSuite", "Lab", "Numerical"]),
        tests("LoadTests", ["ByteCoding", "Load", "Numerical", "Wire"]),
        tests("LabTests", ["ByteCoding", "ColumnStore", "Lab", "Models", "Numerical", "Units"]),
        tests(
            "EngineTests",
            [
                "ByteCoding", "ColumnStore", "Engine", "Features", "Ingest", "Models", "Numerical",
                "Units",
            ]),
        tests(
            "ServerTests",
            [
                "ByteCoding", "ColumnStore", "Engine", "Ingest", "Load", "PatronClient", "Server",
                "Units", "Wire",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ] + nio),
        tests(
            "EndToEndTests",
            [
                "ByteCoding", "ColumnStore", "Engine", "Features", "Ingest", "Lab", "Models",
                "Numerical", "PatronClient", "Server", "Synthetic", "Units",
                .product(name: "Logging", package: "swift-log"),
            ]),
    ] + wideKernels
)
