import ColumnStore

/// A synthetic retailer whose truth is known: customers buy by BG/NBD, spend by Gamma-Gamma, live
/// by one of five lifestyles, choose products by latent tastes and respond to promotions or not.
///
/// Every customer is drawn from a stream of their own, so a customer is the same in a retailer of
/// any size and the files have the same bytes on any number of threads.
package struct Retailer: Sendable {
    package let parameters: Parameters
    let catalogue: Catalogue
    let promotions: PromotionCalendar
    let population: Population

    /// Draws the products and promotions. Throws `SyntheticError.parameter`.
    package init(_ parameters: Parameters) throws(SyntheticError) {
        try parameters.validate()
        self.parameters = parameters
        catalogue = Catalogue(parameters)
        promotions = PromotionCalendar(parameters)
        population = Population(parameters)
    }

    /// Names of the files that `generate` writes.
    package enum FileName {
        package static let purchases = "purchases.csv"
        package static let customers = "customers.csv"
        package static let products = "products.csv"
        package static let plan = "patron.yaml"
        package static let truth = "truth.json"
        package static let customerTruth = "truth_customers.csv"
    }

    /// What was written.
    package struct Summary: Sendable, Equatable, Codable {
        package var customerCount = 0
        package var orderCount = 0
        /// Purchase lines, returns among them.
        package var lineCount = 0
        package var returnCount = 0
        package var aliveCount = 0
        /// Sum of all amounts, returns taken off, in cents.
        package var revenueCents = 0
        /// Bytes of purchases.csv.
        package var purchaseByteCount = 0
    }

    /// Writes the six files; those of the same names are replaced, each as a whole.
    ///
    /// Memory does not grow with the number of customers: a few thousand are held at a time.
    /// - Parameters:
    ///   - folder: made where it is missing.
    ///   - threadCount: at least 1; the bytes do not depend on it.
    ///   - progress: gets the number of customers written so far, now and then.
    package func generate(
        into folder: String, threadCount: Int, progress: (Int) -> Void = { _ in }
    ) throws(SyntheticError) -> Summary {
        try makeFolder(folder)
        do throws(StoreError) {
            return try write(into: folder, threadCount: threadCount, progress: progress)
        } catch {
            throw .writing(error)
        }
    }
}
