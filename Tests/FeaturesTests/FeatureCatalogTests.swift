import Features
import Testing

@Suite struct FeatureCatalogTests {
    @Test func namesAreUniqueAndEveryOneIsAColumnOrAGroup() throws {
        #expect(Set(FeatureCatalog.knownNames).count == FeatureCatalog.knownNames.count)
        let lines = [
            Line(1, "2024-01-01", 1, category: "a", channel: "b"), Line(1, "2024-02-01", 1),
        ]
        let table = try features(lines, asOf: "2024-03-01")
        for name in FeatureCatalog.knownNames where name != "attributes" {
            #expect(table.column(named: name) != nil || table.groups[name] != nil, "\(name)")
        }
        for (group, members) in table.groups {
            for member in members {
                #expect(table.column(named: member) != nil, "\(member) of \(group)")
            }
        }
    }

    @Test func whatMayExist() {
        for name in ["revenue", "hourShares", "categoryShare.Any", "age", "attribute.age", "age.x"]
        {
            #expect(FeatureCatalog.mayExist(name, attributeNames: ["age"]), "\(name)")
        }
        for name in ["Revenue", "ages", "attribute.size", "hourShare24", ""] {
            #expect(!FeatureCatalog.mayExist(name, attributeNames: ["age"]), "\(name)")
        }
    }

    @Test func nearestNames() {
        #expect(nearestName(to: "revnue", among: ["revenue", "margin"]) == "revenue")
        #expect(nearestName(to: "REVENUE", among: ["revenue", "margin"]) == "revenue")
        #expect(nearestName(to: "zebra", among: ["revenue", "margin"]) == nil)
        #expect(nearestName(to: "", among: []) == nil)
    }
}
