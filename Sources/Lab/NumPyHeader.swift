import ByteCoding

/// What an array's elements are. Only little-endian: the files are mapped as they lie.
package enum NumPyElement: String, Sendable, CaseIterable {
    case float32 = "<f4"
    case float64 = "<f8"
    case int32 = "<i4"
    case int64 = "<i8"

    package var byteCount: Int {
        switch self {
        case .float32, .int32: 4
        case .float64, .int64: 8
        }
    }

    /// The error for elements of another type than those that are allowed.
    /// - Parameter descriptor: the type as the header names it.
    static func refused(
        _ descriptor: String, path: String, byteOffset: Int, _ allowed: [NumPyElement]
    ) -> LabError {
        let isBigEndian = descriptor.hasPrefix(">")
        // The same numbers in the other byte order where that will do.
        let swapped = NumPyElement(rawValue: "<" + descriptor.dropFirst())
        let wanted = swapped.flatMap { allowed.contains($0) ? $0 : nil } ?? allowed[0]
        return .badArray(
            path: path, byteOffset: byteOffset,
            found: "'\(descriptor)'" + (isBigEndian ? ", which is big-endian" : ""),
            expected: allowed.map { "'\($0.rawValue)'" }.joined(separator: " or "),
            advice: "values are not rounded silently: save array.astype('\(wanted.rawValue)')")
    }
}

/// The head of a .npy file.
///
///     offset  bytes  field
///     0       6      93 4E 55 4D 50 59, "\x93NUMPY"
///     6       2      version: 1 0, 2 0 or 3 0
///     8       2      length of the text, little-endian; 4 bytes in versions 2 and 3
///     10/12          the text: a Python dictionary, padded with spaces to a multiple of 64 from the
///                    file's start, ending with a line feed
///     then           the elements, first axis outermost ("C order")
///
/// For example a 3 × 2 array of floats:
///
///     93 4E 55 4D 50 59 01 00 76 00 7B 27 64 65 73 63 72 27 …     \x93NUMPY 1.0, 118, {'descr'…
///     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }␠…␠\n
///
/// Source: NumPy Enhancement Proposal 1 and numpy.lib.format, versions 1.0, 2.0, 3.0.
package struct NumPyHeader: Sendable, Equatable {
    package let element: NumPyElement
    package let shape: [Int]
    /// Where the elements start.
    package let dataOffset: Int
    /// Where in the file the element type and the shape are said, for messages.
    package let elementOffset: Int
    package let shapeOffset: Int
    /// Elements: the product of the shape, 1 for none.
    package let count: Int

    static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]
    /// Bytes of a header's text; NumPy itself refuses more than 10,000 by default.
    static let textByteLimit = 65_535
    /// Axes of an array; NumPy's own limit.
    static let axisLimit = 64

    /// Reads and checks the head of a file, and that the file holds exactly the elements it names.
    /// Safe on any bytes.
    /// - Parameter allowed: types that the elements may have, the one to advise first.
    package init(
        _ bytes: RawSpan, path: String, _ allowed: [NumPyElement] = NumPyElement.allCases
    ) throws(LabError) {
        func bad(_ offset: Int, _ found: String, _ expected: String, _ advice: String? = nil)
            -> LabError
        {
            .badArray(
                path: path, byteOffset: offset, found: found, expected: expected,
                advice: advice ?? "write it with numpy.save")
        }
        for (offset, byte) in Self.magic.enumerated() {
            guard let actual = bytes.integer(at: offset, as: UInt8.self) else {
                throw bad(bytes.byteCount, "the end of the file", "the signature of a .npy file")
            }
            guard actual == byte else {
                throw bad(
                    offset, "0x" + String(actual, radix: 16),
                    "0x\(String(byte, radix: 16)), part of the signature of a .npy file")
            }
        }
        guard let major = bytes.integer(at: 6, as: UInt8.self),
            let minor = bytes.integer(at: 7, as: UInt8.self)
        else { throw bad(bytes.byteCount, "the end of the file", "a version") }
        guard (1...3).contains(major), minor == 0 else {
            throw bad(6, "version \(major).\(minor)", "version 1.0, 2.0 or 3.0")
        }
        let textOffset = major == 1 ? 10 : 12
        let length =
            major == 1
            ? bytes.integer(at: 8, as: UInt16.self).map(Int.init)
            : bytes.integer(at: 8, as: UInt32.self).map(Int.init)
        guard let length else {
            throw bad(bytes.byteCount, "the end of the file", "the length of the header")
        }
        guard length <= Self.textByteLimit else {
            throw bad(
                8, "a header of \(length) bytes", "at most \(Self.textByteLimit)",
                "save a plain array, not a structured one")
        }
        guard length <= bytes.byteCount - textOffset else {
            throw bad(
                bytes.byteCount, "the end of the file",
                "\(length) bytes of header from byte \(textOffset)", "copy the file again")
        }
        let fields = try NumPyHeaderText(
            bytes: bytes, range: textOffset..<textOffset + length, path: path)
        element = try fields.element(allowed)
        (elementOffset, shapeOffset) = (fields.elementOffset, fields.shapeOffset)
        shape = fields.shape
        dataOffset = textOffset + length
        if fields.isFortranOrder && shape.count(where: { $0 != 1 }) > 1 {
            throw bad(
                fields.orderOffset, "Fortran order (the first axis innermost)",
                "C order", "save numpy.ascontiguousarray(array)")
        }
        var product = 1
        for size in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: size)
            guard !overflow, next <= Int.max / element.byteCount else {
                throw bad(
                    shapeOffset, "the shape \(shape)",
                    "no more than 2^63 bytes of elements")
            }
            product = next
        }
        count = product
        let (actual, expected) = (bytes.byteCount - dataOffset, count * element.byteCount)
        guard actual == expected else {
            throw bad(
                dataOffset + min(actual, expected),
                "\(actual) bytes of elements",
                "\(expected), as \(shape) of '\(element.rawValue)' needs",
                actual < expected
                    ? "the file is cut short: copy or write it again"
                    : "the header is wrong or something follows the array: write it again")
        }
    }

    /// The bytes before the elements, version 1.0.
    static func bytes(_ element: NumPyElement, shape: [Int]) -> [UInt8] {
        let sizes = shape.map { "\($0)" }.joined(separator: ", ") + (shape.count == 1 ? "," : "")
        var text = "{'descr': '\(element.rawValue)', 'fortran_order': False, 'shape': (\(sizes)), }"
        text += String(repeating: " ", count: 63 - (10 + text.utf8.count) % 64) + "\n"
        var writer = ByteWriter()
        writer.append(contentsOf: magic)
        writer.append(UInt8(1))
        writer.append(UInt8(0))
        // At most 64 axes of 20 digits: far below 65,536.
        writer.append(UInt16(text.utf8.count))
        writer.append(contentsOf: Array(text.utf8))
        return writer.bytes
    }
}
