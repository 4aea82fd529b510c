/// The kernels of one instruction-set level as function pointers, one family of kernels a file
/// (Unsafe+ClusterKernels.swift and so on). Callers use the checked methods there.
package struct KernelTable: Sendable {
    package let level: ISALevel

    let clusterKernels: ClusterKernels
    let elementaryKernels: ElementaryKernels
    let vectorKernels: VectorKernels
    let normalKernels: NormalKernels
    let limitKernels: LimitKernels
    let transposeKernels: TransposeKernels
    let distanceKernels: DistanceKernels
    let topKernels: TopKernels
    let fewEntriesKernels: FewEntriesKernels
    let gradientKernels: GradientKernels
    let doubleRowKernels: DoubleRowKernels
    let unpackKernels: UnpackKernels
    let selectionKernels: SelectionKernels
    let textScanKernels: TextScanKernels
    let treeKernels: TreeKernels
    let forestKernels: ForestKernels
    let mixedKernels: MixedKernels

    /// The table of the level that the machine and `PATRON_ISA` ask for, chosen once.
    ///
    /// A wrong `PATRON_ISA` ends the process with the reason; a program that wants to report it
    /// calls `ISALevel.choose` first.
    package static let current: KernelTable = {
        do {
            return KernelTable(try ISALevel.choose(forced: ISALevel.forcedByEnvironment))
        } catch {
            preconditionFailure("\(ISALevel.environmentName): \(error)")
        }
    }()

    /// The table of a level that the machine has.
    package init(_ level: ISALevel) {
        precondition(ISALevel.available.contains(level), "the machine lacks \(level.rawValue)")
        self.level = level
        clusterKernels = ClusterKernels(level)
        elementaryKernels = ElementaryKernels(level)
        vectorKernels = VectorKernels(level)
        normalKernels = NormalKernels(level)
        limitKernels = LimitKernels(level)
        transposeKernels = TransposeKernels(level)
        distanceKernels = DistanceKernels(level)
        topKernels = TopKernels(level)
        fewEntriesKernels = FewEntriesKernels(level)
        gradientKernels = GradientKernels(level)
        doubleRowKernels = DoubleRowKernels(level)
        unpackKernels = UnpackKernels(level)
        selectionKernels = SelectionKernels(level)
        textScanKernels = TextScanKernels(level)
        treeKernels = TreeKernels(level)
        forestKernels = ForestKernels(level)
        mixedKernels = MixedKernels(level)
    }
}
