import Foundation
import Lab
import Models
import Numerical
import TestSupport
import Testing

@Suite struct NumPyPointsTests {
    /// Row, column and size in one number that single precision holds.
    private func values(_ rowCount: Int, _ featureCount: Int) -> [Float] {
        (0..<rowCount * featureCount).map { Float($0 % 9_973) - 5_000 }
    }

    /// Every level gives the matrix that is built value by value, padding included.
    @Test(arguments: [0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 200])
    func theMatrixIsTheSame(rowCount: Int) throws {
        try withTemporaryFolder { folder in
            for featureCount in [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 32, 33] {
                let values = values(rowCount, featureCount)
                let path = try folder.save(values, [rowCount, featureCount], as: "a.npy")
                let expected = FeatureMatrix(
                    rowMajor: values, rowCount: rowCount, featureCount: featureCount)
                for level in ISALevel.available {
                    let points = try NumPyPoints(
                        try NumPyFile(path), kernels: KernelTable(level))
                    #expect(points.matrix(threadCount: 1) == expected)
                    #expect(points.matrix(threadCount: 3) == expected)
                }
            }
        }
    }

    /// The elements need not be aligned: a header may have any length.
    @Test func unalignedElements() throws {
        try withTemporaryFolder { folder in
            let values = values(70, 5)
            let bytes = numPyBytes(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (70, 5)} ",
                data: littleEndian(values), padding: false)
            let file = try NumPyFile(try folder.write(bytes, as: "a.npy"))
            #expect(file.header.dataOffset % 4 != 0)
            let expected = FeatureMatrix(rowMajor: values, rowCount: 70, featureCount: 5)
            for level in ISALevel.available {
                let points = try NumPyPoints(file, kernels: KernelTable(level))
                #expect(points.matrix(threadCount: 2) == expected)
            }
        }
    }

    /// A pass over chunks sees the rows that the matrix in memory has, and keeps its scratch memory.
    @Test(arguments: [1, 64, 65, 300])
    func chunksAreTheRows(rowCount: Int) throws {
        try withTemporaryFolder { folder in
            let values = values(rowCount, 6)
            let path = try folder.save(values, [rowCount, 6], as: "a.npy")
            let points = try NumPyPoints(try NumPyFile(path), kernels: .current)
            let matrix = points.matrix(threadCount: 1)
            var scratch = FeatureMatrix(rowCount: 0, featureCount: 0)
            // The long chunk first: the short one then leaves a part of the memory alone.
            for first in stride(from: 0, to: rowCount, by: 128) {
                let rows = first..<min(rowCount, first + 128)
                let seen = try points.withRows(rows, scratch: &scratch) {
                    (chunk: FeatureMatrix, place: Range<Int>) throws(ModelError) -> [Float] in
                    #expect(place.count == rows.count)
                    #expect(place.lowerBound % FeatureMatrix.blockRowCount == 0)
                    return place.flatMap { chunk.row($0) }
                }
                #expect(seen == rows.flatMap { matrix.row($0) })
            }
            let none = try points.withRows(0..<0, scratch: &scratch) {
                (_: FeatureMatrix, place: Range<Int>) throws(ModelError) -> Int in place.count
            }
            #expect(none == 0)
        }
    }

    @Test func otherArraysAreRefused() throws {
        try withTemporaryFolder { folder in
            let path = folder.sub("a.npy")
            try NumPyOutput(path).write([1, 2, 3, 4] as [Double], shape: [2, 2])
            #expect(throws: LabError.self) {
                try NumPyPoints(try NumPyFile(path), kernels: .current)
            }
            try NumPyOutput(path).write([1, 2, 3, 4] as [Float], shape: [4])
            #expect(throws: LabError.self) {
                try NumPyPoints(try NumPyFile(path), kernels: .current)
            }
        }
    }
}
