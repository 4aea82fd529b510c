import ColumnStore
import Foundation
import Ingest
import Testing

@Suite struct RejectsWriterTests {
    @Test func rows() throws {
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("rejects.csv").path
            let rejects = try RejectsWriter(path: path)
            // The second record starts on line 3 and ends on line 4.
            _ = try read(
                "customer,time,amount\n\r\n\"a\n\"\"b\"\"\",2011-02-30,x\n,2011-01-01,1,2\n"
                    + "a,2011-01-01,\"=cmd|' /C calc'!A0\"\na,2011-01-01,1\u{7}\r\n"
                    + "a,2011-01-01,\(String(repeating: "é", count: 50))\n", lenientMapping,
                rejects: rejects)
            #expect(!FileManager.default.fileExists(atPath: path))
            try rejects.finish()
            #expect(rejects.rowCount == 6)
            #expect(
                try String(contentsOfFile: path, encoding: .utf8) == """
                    file,line,column,reason,value
                    sales.csv,3,time,unparseableTime,2011-02-30
                    sales.csv,3,amount,unparseableNumber,x
                    sales.csv,5,,wrongFieldCount,",2011-01-01,1,2"
                    sales.csv,6,amount,unparseableNumber,'=cmd|' /C calc'!A0
                    sales.csv,7,amount,unparseableNumber,1\u{20}
                    sales.csv,8,amount,unparseableNumber,\(String(repeating: "é", count: 40))

                    """)
        }
    }

    /// Whatever the bytes, the file is UTF-8 with one line a row.
    @Test func badBytes() throws {
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("rejects.csv").path
            let rejects = try RejectsWriter(path: path)
            var file = Array("customer,time,amount\n".utf8)
            file += [0xFF, 0x00, UInt8(ascii: "-")] + Array(",2011-01-01,1\n".utf8)
            file += Array("a,2011-01-01,1\n".utf8)
            _ = try read(file, lenientMapping, rejects: rejects)
            try rejects.finish()
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.contains("sales.csv,2,customer,invalidUTF8,\\xFF -\n"))
        }
    }

    @Test func nothingWithoutFinish() throws {
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("rejects.csv").path
            do {
                let rejects = try RejectsWriter(path: path)
                _ = try read("customer,time,amount\na,,1\n", lenientMapping, rejects: rejects)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
        }
    }

    @Test func noSuchFolder() {
        #expect {
            _ = try RejectsWriter(path: "/nonexistent-folder/rejects.csv")
        } throws: { error in
            guard case IngestError.rejectsFile = error else { return false }
            return true
        }
    }

    @Test func namedInTheError() throws {
        try withTemporaryFolder { folder in
            let path = folder.appendingPathComponent("rejects.csv").path
            let rejects = try RejectsWriter(path: path)
            #expect {
                _ = try read("customer,time,amount\na,,1\n", rejects: rejects)
            } throws: { error in
                "\(error)".contains("see \(path)")
            }
            try rejects.finish()
            #expect(FileManager.default.fileExists(atPath: path))
        }
    }
}
