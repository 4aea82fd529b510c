/// The address of a buffer that the caller knows to hold elements. A matrix without features has
/// an empty buffer, of which a kernel reads nothing: any address does.
func address<Element>(_ buffer: UnsafeBufferPointer<Element>) -> UnsafePointer<Element> {
    if let base = buffer.baseAddress { return base }
    precondition(buffer.isEmpty)
    return UnsafePointer(noElements(Element.self))
}

func address<Element>(
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
