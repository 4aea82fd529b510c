import ByteCoding
import ColumnStore
import Models

extension AffinityModel {
    /// What an `affinity` model file holds, checked: parameters that could be fitted, a row of
    /// factors a product, no product id twice. The file does not hold losses.
    init(_ parameters: ImplicitALS.Parameters, reading file: ArrayFile) throws(EngineError) {
        do throws(ModelError) {
            try parameters.check()
        } catch {
            throw .damagedModel(path: file.path, reason: "its parameters: \(error)")
        }
        let (products, factors) = try mapErrors(EngineError.store) { () throws(StoreError) in
            let bytes = try file.array("productIDBytes", of: UInt8.self).toArray()
            let offsets = try file.array("productIDOffsets", of: Int64.self).toArray()
            guard let products = TextArray(bytes: bytes, offsets: offsets.map { Int($0) }) else {
                throw .corrupt(
                    path: file.path, byteOffset: file.entry("productIDOffsets")?.byteOffset ?? 0,
                    reason: "productIDOffsets: they do not span the product ids")
            }
            let factors = try file.array(
                "productFactors", of: Float.self, shape: [products.count, parameters.factorCount])
            return (products, factors.toArray())
        }
        var rows: [ArraySlice<UInt8>: Int] = [:]
        for row in 0..<products.count {
            if let earlier = rows.updateValue(row, forKey: products.utf8(row)) {
                throw .damagedModel(
                    path: file.path, reason: "products \(earlier) and \(row) have the same id")
            }
        }
        self.init(
            parameters: parameters, products: products, productFactors: factors,
            lossPerIteration: [])
    }
}
