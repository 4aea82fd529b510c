#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// ln(1 + x), exact near zero.
func logOnePlus(_ x: Double) -> Double { log1p(x) }
