import Numerical
import Testing

@Suite struct BitmapTests {
    @Test(arguments: [0, 1, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 128, 130])
    func keepsEveryBit(count: Int) {
        let bits = (0..<count).map { $0 % 3 == 0 || $0 % 7 == 2 }
        var bitmap = Bitmap(bits)
        #expect(bitmap.count == count && bitmap.words.count == (count + 63) / 64)
        #expect((0..<count).map { bitmap[$0] } == bits)
        #expect(bitmap.setCount == bits.filter { $0 }.count)
        for i in 0..<count { bitmap[i].toggle() }
        #expect((0..<count).map { bitmap[$0] } == bits.map { !$0 })
        for i in 0..<count { bitmap[i] = true }
        // Equal as words: nothing is set behind the last place.
        #expect(bitmap == Bitmap(count: count, repeating: true))
        #expect(Bitmap(count: count).setCount == 0)
    }
}
