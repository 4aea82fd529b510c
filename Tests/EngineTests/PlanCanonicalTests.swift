import Engine
import Ingest
import Testing
import Units

@Suite struct PlanCanonicalTests {
    @Test(arguments: [
        PlanTexts.minimal, PlanTexts.full, PlanTexts.noSegmentations, PlanTexts.algorithms,
        PlanTexts.covariates, PlanTexts.named, PlanTexts.layers, PlanTexts.customersOnly,
        PlanTexts.affinity("variant: hybrid, horizon: 2w"),
        PlanTexts.affinity("regularizationExponent: 1, regularization: 0.002"),
        PlanTexts.affinity("variant: popular"), PlanTexts.affinity("variant: repeatPurchase"),
        PlanTexts.affinity("variant: hybrid, excludePurchased: true, factorCount: 8"),
    ])
    func parsingTheCanonicalTextGivesThePlanBack(text: String) throws {
        let plan = try Plan(parsing: text, path: "patron.yaml")
        let again = try Plan(parsing: plan.canonicalText, path: "canonical")
        #expect(again == plan)
        #expect(again.canonicalText == plan.canonicalText)
        #expect(again.hash == plan.hash)
    }

    @Test func oddTextsSurvive() throws {
        var plan = try Plan(parsing: PlanTexts.minimal, path: "patron.yaml")
        plan.sources.purchases?.files = [
            "a \"b\" \\ c.csv", "Käufe\u{2028}\u{85}\n\t.csv", "1", "null", "",
        ]
        plan.sources.purchases?.mapping.product = .name("1")
        plan.sources.purchases?.mapping.category = .number(1)
        #expect(try Plan(parsing: plan.canonicalText, path: "canonical") == plan)
    }

    /// The names of plans in model cards of earlier versions must stay.
    @Test func aFixedClusterCountIsWrittenAsBefore() throws {
        let text = try Plan(parsing: PlanTexts.minimal, path: "patron.yaml").canonicalText
        #expect(text.contains("\n    clusterCount: 5\n    scaling: zScore\n"))
        #expect(text.contains("\n  basis: margin\nchurn:\n"))
        #expect(text.hasSuffix("\n  topProductCount: 10\n  excludePurchased: true\n"))
        let scaled = try Plan(
            parsing: PlanTexts.affinity("regularizationExponent: 0.5"), path: "patron.yaml")
        #expect(scaled.affinity.regularizationExponent == 0.5)
        #expect(scaled.canonicalText.hasSuffix("\n  regularizationExponent: 0.5\n"))
    }

    /// Names of segments are settings, and none that a model was fitted with.
    @Test func namesOfSegmentsChangeTheTextButNotTheHash() throws {
        let named = try Plan(parsing: PlanTexts.named, path: "a")
        #expect(
            named.segmentations[1].names == [0: "Best customers", 3: "Sleeping: \"deep\"", 12: "7"])
        #expect(named.segmentations[0].names == [4: "Gone"])
        #expect(
            named.canonicalText.contains("\n    names:\n      0: \"Best customers\"\n      3: "))
        var plain = named
        for index in plain.segmentations.indices { plain.segmentations[index].names = [:] }
        #expect(!plain.canonicalText.contains("names"))
        #expect(plain.hash == named.hash && plain.canonicalText != named.canonicalText)
    }

    @Test func theHashDependsOnEverySettingButNotOnTheWriting() throws {
        let plain = try Plan(parsing: PlanTexts.minimal, path: "a")
        let spelled = try Plan(
            parsing: PlanTexts.minimal + "\nseed: 1\nchurn: {horizon: 13w}\n", path: "b")
        let other = try Plan(parsing: PlanTexts.minimal + "\nseed: 2\n", path: "c")
        #expect(plain.hash == spelled.hash)
        #expect(plain.hash != other.hash)
        #expect(plain.hash.count == 16)
        let full = try Plan(parsing: PlanTexts.full, path: "d")
        let own = try Plan(parsing: PlanTexts.covariates, path: "e")
        #expect(own.lifetime.covariates == ["gender", "age"] && full.hash != own.hash)
    }
}
