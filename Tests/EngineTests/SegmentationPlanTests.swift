import Engine
import Ingest
import Testing

/// Segmentations by numbers and texts, by places, of other segmentations, and of customers without
/// purchases, as plans say them.
@Suite struct SegmentationPlanTests {
    private func problems(_ text: String) -> [PlanError.Problem] {
        do throws(PlanError) {
            _ = try Plan(parsing: text, path: "patron.yaml")
            return []
        } catch {
            return error.problems
        }
    }

    private func segmentation(_ name: String, _ text: String) throws -> Plan.Segmentation {
        let plan = try Plan(parsing: text, path: "patron.yaml")
        return try #require(plan.segmentation(named: name))
    }

    @Test func everySettingIsRead() throws {
        let mixed = try segmentation("mixed", PlanTexts.layers)
        #expect(mixed.algorithm == .kPrototypes && mixed.clusterCount == 6)
        #expect(mixed.prototypes == Plan.PrototypeSettings())
        let weighted = try segmentation("weighted", PlanTexts.layers)
        #expect(weighted.prototypes?.gamma == 2.5 && weighted.scaling == .quantile)
        let value = try segmentation("value", PlanTexts.layers)
        #expect(value.algorithm == .kMeans && value.per == "stage")
        #expect(try segmentation("kinds", PlanTexts.layers).prototypes?.gamma == nil)
        let micro = try segmentation("micro", PlanTexts.layers)
        #expect(micro.algorithm == .join && micro.parts == ["stage", "value", "mixed"])
        #expect(micro.features.isEmpty)
        let plan = try Plan(parsing: PlanTexts.layers, path: "patron.yaml")
        let attributes = plan.sources.customers?.mapping.attributes ?? []
        #expect(
            attributes.first { $0.name == "school" }?.kind
                == .ordinal(levels: ["low", "2 mid", "high"]))
        #expect(plan.places?.latitude == "north" && plan.places?.longitude == "east")
        #expect(plan.attributeNames.contains("coordinates"))
    }

    /// What is made of others comes after them, and after the lifetime model where one of them does.
    @Test func theOrderOfFittingFollowsWhatDependsOnWhat() throws {
        let plan = try Plan(parsing: PlanTexts.layers, path: "patron.yaml")
        let names = plan.modelNames
        func place(_ name: String) throws -> Int {
            try #require(names.firstIndex(of: "segmentation.\(name)"))
        }
        for (name, base) in [
            ("value", "stage"), ("kinds", "region"), ("micro", "value"), ("micro", "mixed"),
            ("all", "micro"), ("all", "region"),
        ] { #expect(try place(name) > place(base)) }
        let predicted = try Plan(
            parsing: PlanTexts.minimal + """

                segmentations:
                  a: {algorithm: join, of: [b, c]}
                  b: {features: [revenue]}
                  c: {features: [predictedChurn], per: b}

                """, path: "patron.yaml")
        #expect(
            predicted.modelNames == [
                "segmentation.b", "lifetime", "segmentation.c", "segmentation.a", "affinity",
            ])
    }

    @Test func circlesAndUnknownNames() {
        let found = problems(
            PlanTexts.minimal + """

                segmentations:
                  a: {algorithm: join, of: [b, c]}
                  b: {features: [revenue], per: a}
                  c: {features: [revenue], per: c}
                  d: {algorithm: join, of: [b, stag]}
                  e: {algorithm: join, of: [b, b]}
                  f: {algorithm: join}
                  stage: {algorithm: lifecycle, per: b}
                  g: {algorithm: join, of: [b, stage], features: [revenue], clusterCount: 3}

                """)
        #expect(
            found.map(\.line) == [8, 9, 10, 11, 12, 12, 13, 14, 15, 15],
            "\(found.map { "\($0.line): \($0.what)" })")
        #expect(found[0].what.contains("`b` is itself made of `a`"))
        #expect(found[2].what.contains("made of itself"))
        #expect(found[3].hint.contains("stage"))
        #expect(found[7].what.contains("per is for the algorithm kMeans"))
    }

    @Test(arguments: [
        ("mixed: {algorithm: kPrototypes, features: [age], gamma: 0}", "gamma"),
        ("mixed: {algorithm: kPrototypes, features: [age], gamma: 2e15}", "gamma"),
        ("mixed: {algorithm: kMeans, features: [age], gamma: 1}", "kPrototypes"),
        ("mixed: {algorithm: kPrototypes}", "features is missing"),
        ("mixed: {features: [coordinates]}", "coordinates"),
    ])
    func settingsThatCannotBe(setting: String, words: String) {
        let text =
            PlanTexts.minimal + """

                  customers: {id: customer, attributes: {age: number}}
                segmentations:
                  \(setting)

                """
        let found = problems(text)
        #expect(found.count == 1, "\(found)")
        #expect(found.first?.line == 9)
        #expect(found.first.map { $0.what + $0.hint }?.contains(words) ?? false, "\(found)")
    }

    @Test(arguments: [
        ("school: {type: ordinal}", "levels is missing"),
        ("school: {type: text, levels: [a, b]}", "type: ordinal only"),
        ("school: {levels: [a]}", "at least two"),
        ("school: {levels: [a, b, a]}", "listed twice"),
        ("north: latitude", "1 of type latitude and 0 of type longitude"),
    ])
    func attributesThatCannotBe(setting: String, words: String) {
        let found = problems(
            PlanTexts.minimal + """

                  customers:
                    id: customer
                    attributes:
                      \(setting)

                """)
        #expect(found.count == 1, "\(found)")
        #expect(found.first?.what.contains(words) ?? false, "\(found)")
    }

    @Test func aPlaceIsNoAttributeOfItsOwn() {
        let found = problems(
            PlanTexts.minimal + """

                  customers:
                    id: customer
                    attributes: {lat: latitude, lon: longitude, coordinates: text}

                """)
        #expect(found.count == 1 && found.first?.line == 9)
    }

    // MARK: Customers without purchases

    @Test func aPlanWithoutPurchases() throws {
        let plan = try Plan(parsing: PlanTexts.customersOnly, path: "patron.yaml")
        #expect(plan.sources.purchases == nil)
        #expect(plan.sources.customers?.mapping.id == nil)
        #expect(plan.modelNames == ["segmentation.people"])
        #expect(!plan.canonicalText.contains("lifetime"))
    }

    @Test func whatNeedsPurchasesIsNamed() {
        let found = problems(
            PlanTexts.customersOnly + """
                  value: {features: [age, revenue, predictedChurn]}
                  stage: {algorithm: lifecycle}
                  rfm: {algorithm: rfm}
                lifetime: {model: bgnbd}
                affinity: {factorCount: 8}

                """)
        #expect(found.map(\.line) == [8, 8, 9, 10, 11, 12], "\(found)")
        #expect(found.first?.hint == "name attributes: age, gender")
        let bare = problems(
            "sources:\n  customers: {id: a, attributes: {age: number}}\n")
        #expect(bare.map(\.kind) == [.missing] && bare[0].what == "segmentations is missing")
        let neither = problems("sources:\n  products: {id: a}\n")
        #expect(neither.map(\.what) == ["sources.purchases is missing"])
        let numbered = problems(
            PlanTexts.minimal + "\n  customers: {id: {type: lineNumber}}\n")
        #expect(numbered.count == 1 && numbered[0].what.contains("line numbers"))
    }
}
