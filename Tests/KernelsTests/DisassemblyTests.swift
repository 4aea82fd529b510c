#if arch(x86_64)
import Foundation
import Testing

/// What the compiler made of the hot kernels, read from the object files beside this test's
/// binary. Skips, and says so, where there is no objdump or no object file.
@Suite struct DisassemblyTests {
    private static let buildFolder: URL? = {
        var folder = URL(fileURLWithPath: CommandLine.arguments[0]).standardizedFileURL
        for _ in 0..<6 {
            folder.deleteLastPathComponent()
            let path = folder.appendingPathComponent("KernelsAVX512.build").path
            if FileManager.default.fileExists(atPath: path) { return folder }
        }
        return nil
    }()

    private func run(_ tool: String, _ arguments: [String]) throws -> String? {
        let path = "/usr/bin/" + tool
        guard FileManager.default.isExecutableFile(atPath: path) else {
            print("skipped: no \(path)")
            return nil
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }

    private func object(_ module: String, _ file: String) -> String? {
        let path = Self.buildFolder?.appendingPathComponent("\(module).build/\(file).swift.o")
            .path
        guard let path, FileManager.default.fileExists(atPath: path) else {
            print("skipped: no object file of \(module)/\(file)")
            return nil
        }
        return path
    }

    /// The files of a module, by their object files.
    private func objectNames(of module: String) -> [String] {
        let folder = Self.buildFolder?.appendingPathComponent("\(module).build")
        let names = folder.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0.path) }
        return (names ?? []).filter { $0.hasSuffix(".swift.o") }.map {
            String($0.dropLast(".swift.o".count))
        }.sorted()
    }

    /// Each backward jump closes a loop; returned are the innermost ones with an instruction, by
    /// default one that multiplies and adds.
    private func loops(_ disassembly: String, with instruction: String = "vfmadd") -> [[Substring]]
    {
        var lines: [(address: Int, text: Substring)] = []
        for line in disassembly.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2,
                let address = Int(parts[0].trimmingCharacters(in: .whitespaces), radix: 16)
            else { continue }
            lines.append((address, parts[1]))
        }
        var found: [[Substring]] = []
        for (index, line) in lines.enumerated() {
            let words = line.text.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard words.count >= 2, words[0].hasPrefix("j"),
                let target = Int(words[1], radix: 16), target <= line.address,
                let start = lines.firstIndex(where: { $0.address == target }), start <= index
            else { continue }
            let body = lines[start...index].map(\.text)
            let jumps = body.dropLast().contains {
                $0.drop(while: { $0 == " " || $0 == "\t" }).hasPrefix("j")
            }
            if !jumps && body.contains(where: { $0.contains(instruction) }) { found.append(body) }
        }
        return found
    }

    @Test(arguments: [
        ("KernelsAVX512", "zmm", "AssignTiles", 16),
        ("KernelsAVX2", "ymm", "AssignTiles", 12),
        ("KernelsAVX512", "zmm", "DistanceTiles", 16),
        ("KernelsAVX512", "zmm", "FewEntries", 16),
        ("KernelsAVX512", "zmm", "Gradient", 8),
        ("KernelsAVX512", "zmm", "Limits", 12),
        ("KernelsAVX512", "zmm", "MixedTiles", 8),
        ("KernelsAVX512", "zmm", "Normal", 16),
        ("KernelsAVX512", "zmm", "RowProduct", 16),
        ("KernelsAVX512", "zmm", "TopTiles", 16),
    ])
    func hotLoopsAreWideAndStayInRegisters(
        module: String, register: String, file: String, fusedCount: Int
    ) throws {
        guard let path = object(module, file),
            let text = try run("objdump", ["-d", "--no-show-raw-insn", path])
        else { return }
        if try run("nm", [path])?.contains("__asan_") ?? false {
            print("skipped: \(file) is built with the address sanitizer, which checks every access")
            return
        }
        let loops = self.loops(text)
        let widest = loops.map { loop in
            loop.filter { $0.contains("vfmadd") && $0.contains(register) }.count
        }
        #expect(widest.max() ?? 0 >= fusedCount, "\(file): \(widest)")
        for loop in loops where loop.filter({ $0.contains(register) }).count >= fusedCount {
            #expect(!loop.contains { $0.contains("(%rsp") || $0.contains("(%rbp") })
            #expect(!loop.contains { $0.contains("call") })
        }
    }

    /// Unpacking shifts two whole registers a row, comparing compares one, and nothing else happens
    /// to them on the way; a split of a forest compares four and masks four.
    @Test(arguments: [
        ("BitUnpack", "vpsr", 2), ("ForestTiles", "vcmp", 4), ("Selection", "vpcmp", 1),
    ])
    func unpackedRowsStayInRegisters(file: String, instruction: String, count: Int) throws {
        guard let path = object("KernelsAVX512", file),
            let text = try run("objdump", ["-d", "--no-show-raw-insn", path])
        else { return }
        if try run("nm", [path])?.contains("__asan_") ?? false {
            print("skipped: \(file) is built with the address sanitizer, which checks every access")
            return
        }
        let wide = self.loops(text, with: instruction).filter { loop in
            loop.filter { $0.contains(instruction) && $0.contains("zmm") }.count >= count
        }
        #expect(!wide.isEmpty)
        for loop in wide {
            #expect(!loop.contains { $0.contains("(%rsp") || $0.contains("(%rbp") })
            #expect(!loop.contains { $0.contains("call") })
        }
    }

    /// The text scan has no multiplication to look for: 64 bytes are compared in one register, and
    /// their bits are gathered by one narrowing move.
    @Test func textScanStaysInRegisters() throws {
        guard let path = object("KernelsAVX512", "TextScan"),
            let text = try run("objdump", ["-d", "--no-show-raw-insn", path])
        else { return }
        if try run("nm", [path])?.contains("__asan_") ?? false {
            print("skipped: built with the address sanitizer, which checks every access")
            return
        }
        #expect(text.contains("vpmovqb"))
        #expect(text.components(separatedBy: "vpternlogq").count > 4)
        #expect(!text.contains("call"))
        #expect(!text.contains(#/zmm\d+,.*\(%rsp/#))
    }

    /// A weak symbol that several modules emit under one name is kept once, from whichever
    /// object comes first: with wide instructions in it, the program would end on an older
    /// machine. Every weak function of the wide modules must therefore carry their name.
    @Test(arguments: ["KernelsAVX2", "KernelsAVX512"])
    func wideModulesShareNoCode(module: String) throws {
        for file in objectNames(of: module) {
            guard let path = object(module, file), let text = try run("nm", [path]) else {
                return
            }
            for line in text.split(separator: "\n") {
                let words = line.split(separator: " ")
                guard words.count == 3, "Ww".contains(words[1]) else { continue }
                let own = words[2].contains("\(module.utf8.count)\(module)")
                #expect(own, "\(file): \(line)")
            }
        }
    }
}
#endif
