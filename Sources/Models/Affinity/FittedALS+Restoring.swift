extension FittedALS {
    /// The part of a fit that scores new rows: product factors without those of the customers it
    /// was fitted on (`ImplicitALS.foldIn` gives any customer's).
    /// - Parameter itemFactors: `[itemCount × factorCount]`, row-major.
    package init(
        parameters: ImplicitALS.Parameters, itemFactors: [Float], lossPerIteration: [Double] = []
    ) {
        precondition(
            parameters.factorCount > 0 && itemFactors.count % parameters.factorCount == 0)
        self.init(
            parameters: parameters, userCount: 0,
            itemCount: itemFactors.count / parameters.factorCount, userFactors: [],
            itemFactors: itemFactors, lossPerIteration: lossPerIteration)
    }
}
