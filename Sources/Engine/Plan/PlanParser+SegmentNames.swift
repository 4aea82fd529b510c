extension PlanParser {
    /// `names: {0: Best customers, 3: Sleeping}`: texts by the ids of segments.
    mutating func parseSegmentNames(_ setting: PlanReader.Setting?) -> [Int: String] {
        guard let setting else { return [:] }
        var names: [Int: String] = [:]
        var ids: [String: Int] = [:]
        let entries = reader.namedSettings(setting, limit: PlanLimits.segmentNameCount)
        for entry in entries {
            guard let id = Int(entry.key), String(id) == entry.key,
                PlanLimits.segmentID.contains(id)
            else {
                reader.report(
                    .wrongType, at: entry.position,
                    "`\(entry.key.prefix(60))` in \(setting.name) is no id of a segment",
                    hint: "write a whole number that `patron segments` shows, as in "
                        + "{0: Best customers}")
                continue
            }
            guard let name = segmentName(entry) else { continue }
            if let other = ids[name] {
                reader.report(
                    .contradiction, at: entry.position,
                    "\(setting.name) calls the segments \(other) and \(id) both `\(name)`",
                    hint: "give each a name of its own")
                continue
            }
            ids[name] = id
            names[id] = name
        }
        return names
    }

    private mutating func segmentName(_ entry: PlanReader.Setting) -> String? {
        if reader.isEmpty(entry.value) {
            reader.report(
                .missing, at: entry.position, "\(entry.name) is empty",
                hint: "write a name, or leave the line out for the one that the model makes")
            return nil
        }
        guard let text = reader.text(entry) else { return nil }
        let position = PlanReader.Position(entry.value.mark)
        guard text.contains(where: { !$0.isWhitespace }) else {
            reader.report(
                .missing, at: position, "\(entry.name) is blank",
                hint: "write a name, or leave the line out for the one that the model makes")
            return nil
        }
        guard text.count <= PlanLimits.segmentNameLength else {
            reader.report(
                .tooLarge, at: position,
                "\(entry.name) has \(text.count) characters, more than "
                    + "\(PlanLimits.segmentNameLength)")
            return nil
        }
        let isControl = { (scalar: Unicode.Scalar) in
            [.control, .lineSeparator, .paragraphSeparator].contains(
                scalar.properties.generalCategory)
        }
        guard !text.unicodeScalars.contains(where: isControl) else {
            reader.report(
                .wrongType, at: position, "\(entry.name) holds a line end or a control character",
                hint: "write it on one line")
            return nil
        }
        return text
    }
}
