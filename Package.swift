// swift-tools-version: 6.2
import PackageDescription

/// What every Swift target of the package is built with.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The kernels are optimised in debug builds too, and compiled once per instruction-set level.
/// `-Ounchecked` is theirs alone: every bound is checked once by the caller in Numerical.
func kernelSettings(_ machineFlags: [String]) -> [SwiftSetting] {
    settings + [.unsafeFlags(["-Ounchecked", "-wmo"] + machineFlags.flatMap { ["-Xcc", $0] })]
}

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
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
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.2"),
        .package(
            url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .target(name: "CPlatform"),
        .target(name: "Kernels", swiftSettings: kernelSettings([])),
        .target(
            name: "KernelsAVX2",
            swiftSettings: kernelSettings(["-march=x86-64-v3"])),
        .target(
            name: "KernelsAVX512",
            swiftSettings: kernelSettings(["-march=x86-64-v4", "-mprefer-vector-width=512"])),
        module("Units"),
        module("ByteCoding", ["CPlatform"]),
        module("Numerical", ["CPlatform", "Kernels", "KernelsAVX2", "KernelsAVX512"]),
        module("ColumnStore", ["ByteCoding", "CLZ4", "CPlatform", "Units"]),
        module("Wire", ["ByteCoding"]),
        module("Ingest", ["ByteCoding", "ColumnStore", "Units"]),
        module("Synthetic", ["ByteCoding", "ColumnStore", "Numerical", "Units"]),
        module("Features", ["ByteCoding", "Numerical", "Units"]),
        module("Models", ["Numerical", "Units"]),
        module(
            "Engine",
            [
                "ByteCoding", "ColumnStore", "Features", "Ingest", "Models", "Numerical", "Units",
                .product(name: "Yams", package: "Yams"),
            ]),
        module(
            "Server",
            [
                "ByteCoding", "ColumnStore", "Engine", "Units", "Wire",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ] + nio),
        module("PatronClient", ["ByteCoding", "Wire"] + nio),
        .executableTarget(
            name: "patron",
            dependencies: [
                "ByteCoding", "Engine", "Models", "PatronClient", "Server", "Synthetic", "Units",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
        tests("UnitsTests", ["Units"]),
        tests("ByteCodingTests", ["ByteCoding"]),
        tests("KernelsTests", ["Kernels", "KernelsAVX2", "KernelsAVX512", "Numerical"]),
        tests("NumericalTests", ["Numerical"]),
        tests("ColumnStoreTests", ["ByteCoding", "ColumnStore", "Numerical"]),
        tests("WireTests", ["ByteCoding", "Numerical", "Wire"]),
        tests("IngestTests", ["ByteCoding", "ColumnStore", "Ingest", "Numerical", "Units"]),
        tests("SyntheticTests", ["Numerical", "Synthetic", "Units"]),
        tests("FeaturesTests", ["ByteCoding", "Features", "Ingest", "Numerical", "Units"]),
        tests("ModelsTests", ["Models", "Numerical", "Units"]),
        tests(
            "EngineTests",
            ["ByteCoding", "ColumnStore", "Engine", "Features", "Ingest", "Models", "Units"]),
        tests("ServerTests", ["ByteCoding", "Engine", "PatronClient", "Server", "Wire"] + nio),
        tests("EndToEndTests", ["Engine", "PatronClient", "Server", "Synthetic"]),
    ]
)
