import random
import unittest

from . import support  # noqa: F401
from patron_client import _crc32c
from patron_client._crc32c import MULTIPLES, by_folding, by_places, by_table, crc32c

POLYNOMIAL = 0x11EDC6F41


class CRC32CTests(unittest.TestCase):
    def test_check_values(self):
        # RFC 3720, appendix B.4, and the check value of the specification.
        cases = [
            (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43),
            (bytes(range(32)), 0x46DD794E), (bytes(range(31, -1, -1)), 0x113FDB5C), (b"", 0)]
        for data, expected in cases:
            for compute in (by_table, by_places, by_folding, crc32c):
                self.assertEqual(compute(data), expected, (compute, data))

    def test_sparse_polynomials_are_multiples(self):
        for terms in MULTIPLES:
            value = 1
            for term in terms:
                value ^= 1 << term
            while value.bit_length() > 32:
                value ^= POLYNOMIAL << (value.bit_length() - 33)
            self.assertEqual(value, 0, terms)

    def test_all_ways_agree(self):
        source = random.Random(4)
        sizes = list(range(300)) + [
            1023, 1024, 1025, 709, 710, 711, 1420, 1421, 1422, 4096, 11369, 11370, 11371, 22740, 22741, 65535, 65536,
            65537, 66246, 131072, 131073, 300007, 2_000_003]
        for size in sizes:
            data = source.getrandbits(8 * size).to_bytes(size, "little") if size else b""
            expected = by_table(data)
            self.assertEqual(by_folding(data), expected, size)
            if size <= 64:
                self.assertEqual(by_places(data), expected, size)
            self.assertEqual(crc32c(data), expected, (size, _crc32c.IMPLEMENTATION))
            self.assertEqual(crc32c(memoryview(bytearray(data)).toreadonly()), expected, size)

    def test_a_flipped_bit_is_seen(self):
        data = bytearray(source_byte % 251 for source_byte in range(5000))
        expected = crc32c(bytes(data))
        for bit in range(0, 40000, 997):
            data[bit // 8] ^= 1 << bit % 8
            self.assertNotEqual(crc32c(bytes(data)), expected, bit)
            data[bit // 8] ^= 1 << bit % 8


if __name__ == "__main__":
    unittest.main()
