/// Gives a file that is never changed a second name: it takes no more room, and stays as long as it
/// has a name. Where the file system has no such links the file is copied. The new name is durable
/// with the next sync of its folder.
package func linkFile(from source: String, to target: String) throws(StoreError) {
    if PendingFiles.link(source, target) == 0 { return }
    let mapped = try MappedFile(path: source)
    let copy = try AtomicFile(path: target)
    try mapped.withBytes { bytes throws(StoreError) in try copy.write(bytes) }
    try copy.commit()
}
