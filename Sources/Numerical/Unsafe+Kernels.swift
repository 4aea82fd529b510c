// The checked edge of the kernels: spans and arrays in, one check of every count, then pointers.
// A pointer never outlives the call; inputs and outputs cannot overlap because an `inout` is
// exclusive.

extension KernelTable {
    /// Assigns rows to their nearest vectors (squared Euclidean distance, ties to the lowest
    /// index).
    /// - Parameters:
    ///   - rows: rows of `points`; the first one a multiple of 64.
    ///   - labels: `[rows.count]`, out.
    ///   - scores: `[rows.count]`, out: `x·c - |c|²/2` of the nearest one, so the squared distance
    ///     is `|x|² - 2 score`. The difference of large numbers where points lie far from the
    ///     origin: centre the features first.
    package func assign(
        _ points: FeatureMatrix, rows: Range<Int>, to vectors: VectorGroups,
        labels: inout MutableSpan<Int32>, scores: inout MutableSpan<Float>
    ) {
        precondition(rows.lowerBound % FeatureMatrix.blockRowCount == 0)
        precondition(rows.lowerBound >= 0 && rows.upperBound <= points.rowCount)
        precondition(vectors.count > 0 && vectors.featureCount == points.featureCount)
        precondition(labels.count == rows.count && scores.count == rows.count)
        if rows.isEmpty { return }
        points.storage.withUnsafeBufferPointer { storage in
            vectors.storage.withUnsafeBufferPointer { groups in
                vectors.offsets.withUnsafeBufferPointer { offsets in
                    labels.withUnsafeMutableBufferPointer { labels in
                        scores.withUnsafeMutableBufferPointer { scores in
                            assignRows(
                                address(storage) + rows.lowerBound * points.featureCount,
                                rows.count, points.featureCount, address(groups),
                                address(offsets), vectors.groupCount, address(labels),
                                address(scores))
                        }
                    }
                }
            }
        }
    }

    /// Adds rows to the sums and counts of their labels.
    /// - Parameters:
    ///   - rows: rows of `points`; the first one a multiple of 64.
    ///   - labels: `[rows.count]`, each in `0 ..< counts.count` (checked).
    ///   - sums: `[featureCount × labelCount]`, in and out.
    ///   - counts: `[labelCount]`, in and out.
    package func accumulate(
        _ points: FeatureMatrix, rows: Range<Int>, labels: Span<Int32>,
        sums: inout [Double], counts: inout [Int64]
    ) {
        precondition(rows.lowerBound % FeatureMatrix.blockRowCount == 0)
        precondition(rows.lowerBound >= 0 && rows.upperBound <= points.rowCount)
        precondition(labels.count == rows.count)
        precondition(sums.count == counts.count * points.featureCount)
        let labelCount = counts.count
        labels.withUnsafeBufferPointer { labels in
            var largest: UInt32 = 0
            // A negative label becomes a huge unsigned one.
            for label in labels { largest = max(largest, UInt32(bitPattern: label)) }
            if labels.isEmpty { return }
            precondition(Int(largest) < labelCount, "a label is out of range")
            points.storage.withUnsafeBufferPointer { storage in
                sums.withUnsafeMutableBufferPointer { sums in
                    counts.withUnsafeMutableBufferPointer { counts in
                        accumulateRows(
                            address(storage) + rows.lowerBound * points.featureCount, rows.count,
                            points.featureCount, address(labels), labelCount, address(sums),
                            address(counts))
                    }
                }
            }
        }
    }

    /// Squared distances of one block of 64 rows to every vector, by differences.
    /// - Parameter distances: `[vectors.groupCount × 4 × 64]`, out; the values of padding rows and
    ///   vectors have no meaning.
    package func squaredDistances(
        _ points: FeatureMatrix, block: Int, to vectors: VectorGroups, distances: inout [Float]
    ) {
        precondition(block >= 0 && block < points.blockCount)
        precondition(vectors.featureCount == points.featureCount)
        precondition(distances.count == vectors.groupCount * 4 * FeatureMatrix.blockRowCount)
        points.storage.withUnsafeBufferPointer { storage in
            vectors.storage.withUnsafeBufferPointer { groups in
                distances.withUnsafeMutableBufferPointer { distances in
                    if distances.isEmpty { return }
                    squaredDistancesBlock(
                        address(storage) + block * FeatureMatrix.blockRowCount
                            * points.featureCount,
                        points.featureCount, address(groups), vectors.groupCount,
                        address(distances))
                }
            }
        }
    }

    /// Scalar products of one block of 64 items with every query.
    /// - Parameters:
    ///   - scores: `[queries.groupCount × 4 × 64]`, out.
    ///   - maxima: `[queries.groupCount × 4]`, out: the block's largest score of a query; the zero
    ///     scores of padding rows count.
    package func scores(
        _ items: FeatureMatrix, block: Int, queries: VectorGroups,
        scores: inout [Float], maxima: inout [Float]
    ) {
        precondition(block >= 0 && block < items.blockCount)
        precondition(queries.featureCount == items.featureCount)
        precondition(scores.count == queries.groupCount * 4 * FeatureMatrix.blockRowCount)
        precondition(maxima.count == queries.groupCount * 4)
        items.storage.withUnsafeBufferPointer { storage in
            queries.storage.withUnsafeBufferPointer { groups in
                scores.withUnsafeMutableBufferPointer { scores in
                    maxima.withUnsafeMutableBufferPointer { maxima in
                        if maxima.isEmpty { return }
                        scoreBlock(
                            address(storage) + block * FeatureMatrix.blockRowCount
                                * items.featureCount,
                            items.featureCount, address(groups), queries.groupCount,
                            address(scores), address(maxima))
                    }
                }
            }
        }
    }

    /// Scalar product of two vectors of one count.
    package func dot(_ x: Span<Float>, _ y: Span<Float>) -> Float {
        precondition(x.count == y.count)
        return x.withUnsafeBufferPointer { x in
            y.withUnsafeBufferPointer { y in
                x.isEmpty ? 0 : self.dot(address(x), address(y), x.count)
            }
        }
    }

    /// `y += a x`.
    package func axpy(_ a: Float, _ x: Span<Float>, _ y: inout MutableSpan<Float>) {
        precondition(x.count == y.count)
        x.withUnsafeBufferPointer { x in
            y.withUnsafeMutableBufferPointer { y in
                if !x.isEmpty { self.axpy(a, address(x), address(y), x.count) }
            }
        }
    }

    /// `output = matrix · x`; the matrix is row-major `[output.count × x.count]`.
    package func matrixVector(
        _ matrix: Span<Float>, _ x: Span<Float>, _ output: inout MutableSpan<Float>
    ) {
        precondition(matrix.count == x.count * output.count)
        matrix.withUnsafeBufferPointer { matrix in
            x.withUnsafeBufferPointer { x in
                output.withUnsafeMutableBufferPointer { output in
                    if output.isEmpty { return }
                    if x.isEmpty { return output.update(repeating: 0) }
                    self.matrixVector(
                        address(matrix), output.count, x.count, address(x), address(output))
                }
            }
        }
    }

    /// `panel[i] = scales[i] · rows[indices[i]]`, `rightSide += Σ weights[i] · rows[indices[i]]`.
    /// - Parameters:
    ///   - rows: `[… × width]`, row-major, width = `rightSide.count`, a multiple of 16.
    ///   - indices: rows, in range (checked); `scales` and `weights` have their count.
    ///   - panel: at least `indices.count × width` values, out.
    package func gather(
        _ rows: Span<Float>, indices: Span<Int32>, scales: Span<Float>, weights: Span<Float>,
        panel: inout [Float], rightSide: inout [Float]
    ) {
        let width = rightSide.count
        precondition(width % 16 == 0 && width > 0 && rows.count % width == 0)
        precondition(scales.count == indices.count && weights.count == indices.count)
        precondition(panel.count >= indices.count * width)
        let rowCount = rows.count / width
        if indices.isEmpty { return }
        rows.withUnsafeBufferPointer { rows in
            indices.withUnsafeBufferPointer { indices in
                var largest: UInt32 = 0
                for index in indices { largest = max(largest, UInt32(bitPattern: index)) }
                precondition(Int(largest) < rowCount, "an index is out of range")
                scales.withUnsafeBufferPointer { scales in
                    weights.withUnsafeBufferPointer { weights in
                        panel.withUnsafeMutableBufferPointer { panel in
                            rightSide.withUnsafeMutableBufferPointer { rightSide in
                                gatherRows(
                                    address(rows), width, address(indices), indices.count,
                                    address(scales), address(weights), address(panel),
                                    address(rightSide))
                            }
                        }
                    }
                }
            }
        }
    }

    /// Adds `panelᵀ panel` to the upper triangle of a square matrix; what lies below the diagonal
    /// is undefined afterwards.
    /// - Parameters:
    ///   - panel: at least `rowCount × width` values, row-major; width a multiple of 16.
    ///   - matrix: `[width × width]`, row-major, in and out.
    package func addOuterProducts(
        _ panel: Span<Float>, rowCount: Int, width: Int, matrix: inout [Float]
    ) {
        precondition(width % 16 == 0 && rowCount >= 0 && panel.count >= rowCount * width)
        precondition(matrix.count == width * width)
        if rowCount == 0 || width == 0 { return }
        panel.withUnsafeBufferPointer { panel in
            matrix.withUnsafeMutableBufferPointer { matrix in
                self.addOuterProducts(address(panel), rowCount, width, address(matrix))
            }
        }
    }

    /// Solves a symmetric positive definite system by Cholesky, in place.
    /// - Parameters:
    ///   - matrix: `[width × width]`, row-major, width = `rightSide.count`, a multiple of 16; only
    ///     the upper triangle is read; overwritten.
    ///   - smallestPivot: a pivot not above it counts as singular.
    /// - Returns: false where the matrix is not positive definite (then `rightSide` is undefined).
    package func solvePositiveDefinite(
        _ matrix: inout [Float], _ rightSide: inout [Float], smallestPivot: Float
    ) -> Bool {
        let width = rightSide.count
        precondition(width % 16 == 0 && matrix.count == width * width)
        if width == 0 { return true }
        return matrix.withUnsafeMutableBufferPointer { matrix in
            rightSide.withUnsafeMutableBufferPointer { rightSide in
                self.solvePositiveDefinite(
                    address(matrix), address(rightSide), width, smallestPivot) != 0
            }
        }
    }
}

/// The address of a buffer that the caller knows to hold elements. A matrix without features has
/// an empty buffer, of which a kernel reads nothing: any address does.
private func address<Element>(_ buffer: UnsafeBufferPointer<Element>) -> UnsafePointer<Element> {
    if let base = buffer.baseAddress { return base }
    precondition(buffer.isEmpty)
    return UnsafePointer(noElements(Element.self))
}

private func address<Element>(
    _ buffer: UnsafeMutableBufferPointer<Element>
) -> UnsafeMutablePointer<Element> {
    if let base = buffer.baseAddress { return base }
    precondition(buffer.isEmpty)
    return noElements(Element.self)
}

/// An aligned address that is never read or written.
private func noElements<Element>(_: Element.Type) -> UnsafeMutablePointer<Element> {
    guard let address = UnsafeMutablePointer<Element>(bitPattern: 64) else {
        preconditionFailure("64 is not the null address")
    }
    return address
}
