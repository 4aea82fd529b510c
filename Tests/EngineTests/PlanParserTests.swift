import Engine
import Foundation
import Ingest
import Testing
import Units

/// The problems of a plan that must not parse.
private func problems(_ text: String) -> [PlanError.Problem] {
    do throws(PlanError) {
        _ = try Plan(parsing: text, path: "patron.yaml")
        return []
    } catch {
        return error.problems
    }
}

@Suite struct PlanParserTests {
    @Test func minimalPlanTakesEveryDefault() throws {
        let plan = try Plan(parsing: PlanTexts.minimal, path: "patron.yaml")
        let mapping = PurchaseMapping(
            customerID: IDReference(.name("customer")), time: TimeReference(.name("date")),
            amount: .amount(.name("amount")))
        #expect(
            plan
                == Plan(
                    sources: Plan.Sources(
                        purchases: Plan.PurchaseSource(files: [], mapping: mapping))))
        #expect(plan.timeZone == "UTC")
        #expect(plan.timeGrid == .week)
        #expect(plan.seed == 1)
        #expect(plan.asOf == nil)
        #expect(plan.grossMarginRate == 0.3)
        #expect(plan.discountRate.annual == 0.1)
        #expect(plan.segmentations.map(\.name) == ["behaviour", "value"])
        #expect(plan.segmentations[1].scaling == .logZScore)
        #expect(plan.lifetime.horizon == Horizon(52, .week))
        #expect(plan.lifetime.basis == .margin)
        #expect(plan.churn.horizon == Horizon(13, .week))
        #expect(plan.simpleFormula.durationMonths == nil)
        #expect(plan.affinity == Plan.Affinity())
    }

    @Test func fullPlanReadsEverySetting() throws {
        let plan = try Plan(parsing: PlanTexts.full, path: "patron.yaml")
        #expect(plan.currency == "GBP")
        #expect(plan.timeZone == "Europe/London")
        #expect(plan.timeGrid == .month)
        #expect(plan.seed == .max)
        #expect(plan.asOf == CalendarDay(year: 1997, month: 9, day: 30))
        #expect(plan.grossMarginRate == 0.4)
        #expect(plan.discountRate == DiscountRate(annual: 0.15))

        let purchases = try #require(plan.sources.purchases)
        #expect(purchases.files == ["purchases.csv", "more/purchases 2.csv"])
        var mapping = PurchaseMapping(
            format: TextFormat(
                delimiter: .semicolon, hasHeader: true, decimalSign: .comma,
                maximumRejectShare: 0.3, setAside: [.missingCustomerID, .nonPositivePrice]),
            customerID: IDReference(.name("CustomerID"), kind: .integer),
            time: TimeReference(.name("InvoiceDate"), format: .dayMonthYear),
            amount: .quantityTimesPrice(quantity: .name("Quantity"), unitPrice: .number(6)))
        mapping.margin = .cost(.name("Cost"))
        mapping.orderID = .name("InvoiceNo")
        mapping.product = .name("StockCode")
        mapping.category = .name("Category")
        mapping.promotion = .name("Promotion")
        mapping.channel = .name("9")
        #expect(purchases.mapping == mapping)

        #expect(plan.sources.customers?.files == ["customers.csv"])
        #expect(
            plan.sources.customers?.mapping
                == EntityMapping(
                    id: IDReference(.name("customer_id"), kind: .integer),
                    attributes: [
                        AttributeMapping(name: "age", column: .name("age"), kind: .number),
                        AttributeMapping(name: "gender", column: .name("gender"), kind: .text),
                        AttributeMapping(
                            name: "interests", column: .name("interests"),
                            kind: .set(separator: UInt8(ascii: "|"))),
                        AttributeMapping(
                            name: "income", column: .name("Income band"), kind: .number),
                    ]))
        #expect(plan.sources.products?.mapping.format.hasHeader == false)
        #expect(plan.sources.products?.mapping.id == IDReference(.number(1)))

        var behaviour = Plan.Segmentation(
            name: "behaviour",
            features: ["hourShares", "attribute.gender", "categoryShare.Toys", "interests"])
        behaviour.restarts = 8
        behaviour.maximumIterations = 300
        var value = Plan.Segmentation(name: "value", features: ["revenue365Days", "age"])
        value.clusterCount = 7
        value.scaling = .robust
        #expect(plan.segmentations == [behaviour, value])
        #expect(plan.lifetime.horizon == Horizon(39, .week))
        #expect(plan.lifetime.basis == .revenue)
        #expect(plan.churn.horizon == Horizon(90, .day))
        #expect(plan.churn.model == .logistic && plan.churn.calibration == .platt)
        #expect(plan.churn.features == ["daysSinceLastPurchase", "age"])
        #expect(plan.churn.reasonCount == 5)
        #expect(plan.simpleFormula.durationMonths == 36)
        #expect(plan.affinity.factorCount == 16)
        #expect(plan.affinity.regularization == 0.1)
        #expect(plan.affinity.confidenceWeight == 5)
        #expect(plan.affinity.iterations == 3)
        #expect(plan.affinity.topProductCount == 20)
        #expect(!plan.affinity.excludePurchased)
    }

    @Test func emptySectionsAreAllDefaults() throws {
        let text = PlanTexts.minimal + "\nlifetime:\nchurn: {}\naffinity: ~\nasOf:\n"
        let minimal = try Plan(parsing: PlanTexts.minimal, path: "")
        #expect(try Plan(parsing: text, path: "") == minimal)
        let none = try Plan(parsing: PlanTexts.noSegmentations, path: "")
        #expect(none.segmentations.isEmpty)
    }

    @Test func clusterCountMayBeLeftToTheData() throws {
        func count(_ text: String) throws -> Plan.ClusterCount? {
            let segmentation = "segmentations: {a: {features: [revenue], clusterCount: \(text)}}"
            let plan = try Plan(parsing: PlanTexts.minimal + "\n" + segmentation, path: "")
            // The choice is a part of the plan's canonical text.
            #expect(try Plan(parsing: plan.canonicalText, path: "") == plan)
            return plan.segmentations.first?.clusterCount
        }
        func range(_ from: Int, _ to: Int, _ criterion: Plan.ClusterCountCriterion = .silhouette)
            -> Plan.ClusterCount
        {
            var range = Plan.ClusterCountRange()
            (range.from, range.to, range.criterion) = (from, to, criterion)
            return .automatic(range)
        }
        #expect(try count("7") == 7)
        #expect(try count("auto") == range(2, 12))
        #expect(try count("{}") == range(2, 12))
        #expect(try count("{from: 3}") == range(3, 13))
        #expect(try count("{from: 20}") == range(20, 30))
        #expect(try count("{from: 1020}") == range(1_020, 1_024))
        #expect(
            try count("{from: 4, to: 9, criterion: calinskiHarabasz}")
                == range(4, 9, .calinskiHarabasz))
    }

    /// One line added to the minimal plan, whose last line is line 6.
    @Test(
        arguments: [
            ("curency: GBP", .unknownKey, 7, 1, "did you mean `currency`?"),
            ("currency: gbp", .unknownValue, 7, 11, "ISO 4217"),
            ("currency: [GBP]", .wrongType, 7, 11, ""),
            ("timeZone: Europe/Londn", .unknownValue, 7, 11, "Europe/London"),
            ("timeGrid: weekly", .unknownValue, 7, 11, "did you mean `week`?"),
            ("seed: abc", .wrongType, 7, 7, ""),
            ("seed: -1", .outOfRange, 7, 7, "0 to"),
            ("seed: 99999999999999999999", .outOfRange, 7, 7, "0 to"),
            ("seed: \"1\"", .wrongType, 7, 7, ""),
            ("version: 2", .outOfRange, 7, 10, "1 to 1"),
            ("asOf: 1997-02-30", .wrongType, 7, 7, "2026-03-14"),
            ("grossMarginRate: 1.5", .outOfRange, 7, 18, "0 to 1"),
            ("grossMarginRate: high", .wrongType, 7, 18, ""),
            ("grossMarginRate: nan", .wrongType, 7, 18, ""),
            ("annualDiscountRate: -0.1", .outOfRange, 7, 21, "0 to 10"),
            ("segmentations: [value]", .wrongType, 7, 16, ""),
            ("segmentations: {2nd: {features: [revenue]}}", .unknownValue, 7, 17, "letter"),
            ("segmentations: {a: {clusterCount: 3}}", .missing, 7, 17, "features"),
            ("segmentations: {a: {features: []}}", .missing, 7, 21, ""),
            ("segmentations: {a: {algorithm: rfn}}", .unknownValue, 7, 32, "did you mean `rfm`?"),
            ("segmentations: {a: {algorithm: quadrants}}", .missing, 7, 17, "features"),
            (
                "segmentations: {a: {algorithm: quadrants, features: [revenue]}}", .contradiction,
                7, 43, "predictedLifetimeValue"
            ),
            (
                "segmentations: {a: {algorithm: rfm, features: [revenue, margin]}}", .contradiction,
                7, 37, "frequency"
            ),
            (
                "segmentations: {a: {algorithm: quadrants, features: [revenue, hourShares]}}",
                .contradiction, 7, 43, "single"
            ),
            (
                "segmentations: {a: {algorithm: rfm, clusterCount: 3}}", .contradiction, 7, 37,
                "algorithm: kMeans"
            ),
            ("segmentations: {a: {algorithm: rfm, levelCount: 10}}", .outOfRange, 7, 49, "2 to 9"),
            (
                "segmentations: {a: {algorithm: lifecycle, features: [revenue]}}", .contradiction,
                7, 43, "leave"
            ),
            (
                "segmentations: {a: {algorithm: lifecycle, lapsedDays: 90}}", .contradiction, 7, 43,
                "365"
            ),
            (
                "segmentations: {a: {algorithm: quadrants, features: [revenue, margin], "
                    + "leastHighValues: [1, x]}}", .wrongType, 7, 72, "[100, 2.5]"
            ),
            (
                "segmentations: {a: {features: [predictedLifetimValue]}}", .unknownValue, 7, 32,
                "predictedLifetimeValue"
            ),
            (
                "churn: {model: trees, features: [predictedAlive]}", .unknownValue, 7, 34,
                "cannot learn"
            ),
            ("segmentations: {a: {features: [revenue], names: [Best]}}", .wrongType, 7, 49, ""),
            (
                "segmentations: {a: {features: [revenue], names: {best: Best}}}", .wrongType, 7, 50,
                "patron segments"
            ),
            (
                "segmentations: {a: {features: [revenue], names: {-1: Best}}}", .wrongType, 7, 50,
                "whole number"
            ),
            (
                "segmentations: {a: {features: [revenue], names: {0: }}}", .missing, 7, 50,
                "leave the line out"
            ),
            (
                "segmentations: {a: {features: [revenue], names: {0: \"  \"}}}", .missing, 7, 53,
                "leave the line out"
            ),
            (
                "segmentations: {a: {features: [revenue], names: {0: A, 4: A}}}", .contradiction, 7,
                56, "name of its own"
            ),
            (
                "segmentations: {a: {features: [revenue], names: {0: \"A\\tB\"}}}", .wrongType, 7,
                53,
                "one line"
            ),
            (
                "segmentations: {a: {features: [revenue], names: {0: "
                    + String(repeating: "A", count: 101) + "}}}", .tooLarge, 7, 53, ""
            ),
            ("segmentations: {a: {features: [revenu]}}", .unknownValue, 7, 32, "`revenue`"),
            ("segmentations: {a: {features: [age]}}", .unknownValue, 7, 32, ""),
            (
                "segmentations: {a: {features: [revenue, revenue]}}", .contradiction, 7, 41,
                "keep one"
            ),
            (
                "segmentations: {a: {features: [revenue], clusterCount: 0}}", .outOfRange, 7, 56,
                "1 to 1024"
            ),
            (
                "segmentations: {a: {features: [revenue], clusterCount: automatic}}", .wrongType,
                7, 56, "auto"
            ),
            (
                "segmentations: {a: {features: [revenue], clusterCount: [3]}}", .wrongType, 7, 56,
                ""
            ),
            (
                "segmentations: {a: {features: [revenue], clusterCount: {from: 1}}}", .outOfRange,
                7, 63, "2 to 1024"
            ),
            (
                "segmentations: {a: {features: [revenue], clusterCount: {from: 5, to: 4}}}",
                .contradiction, 7, 66, "below"
            ),
            (
                "segmentations: {a: {features: [revenue], clusterCount: {to: 102}}}", .outOfRange,
                7, 57, "up to 100"
            ),
            (
                "segmentations: {a: {features: [revenue], clusterCount: {criterion: elbow}}}",
                .unknownValue, 7, 68, "silhouette"
            ),
            (
                "segmentations: {a: {features: [revenue], clusterCount: {form: 3}}}", .unknownKey,
                7, 57, "did you mean `from`?"
            ),
            (
                "segmentations: {a: {features: [revenue], scaling: zscore}}", .unknownValue, 7, 51,
                "did you mean `zScore`?"
            ),
            ("lifetime: {model: weibull}", .unknownValue, 7, 19, "bgnbd"),
            ("lifetime: {horizon: soon}", .wrongType, 7, 21, "52w"),
            ("lifetime: {horizon: 0w}", .outOfRange, 7, 21, "100 years"),
            ("lifetime: {horizon: 101m, basis: sales}", .unknownValue, 7, 34, "margin, revenue"),
            ("lifetime: {covariates: []}", .missing, 7, 12, "sources.customers"),
            ("lifetime: {covariates: [age]}", .unknownValue, 7, 25, "sources.customers"),
            ("churn: {horizn: 13w}", .unknownKey, 7, 9, "did you mean `horizon`?"),
            ("churn: 13w", .wrongType, 7, 8, ""),
            ("churn: {model: tree}", .unknownValue, 7, 16, "did you mean `trees`?"),
            ("churn: {model: trees, features: []}", .missing, 7, 23, ""),
            (
                "churn: {model: trees, features: [revenu]}", .unknownValue, 7, 34,
                "did you mean `revenue`?"
            ),
            ("churn: {features: [revenue]}", .contradiction, 7, 9, "set churn.model to trees"),
            ("churn: {model: trees, reasonCount: 11}", .outOfRange, 7, 36, "0"),
            ("simpleFormula: {durationMonths: 0}", .outOfRange, 7, 33, "above 0"),
            ("affinity: {factorCount: 1000}", .outOfRange, 7, 25, "1 to 512"),
            ("affinity: {factorCount: 3.5}", .wrongType, 7, 25, ""),
            ("affinity: {excludePurchased: yes}", .wrongType, 7, 30, ""),
            ("affinity: {variant: populr}", .unknownValue, 7, 21, "did you mean `popular`?"),
            ("affinity: {variant: als}", .unknownValue, 7, 21, "hybrid"),
            ("affinity: {variant: popular, factorCount: 3}", .contradiction, 7, 30, "hybrid"),
            (
                "affinity: {variant: repeatPurchase, excludePurchased: true}", .contradiction, 7,
                37, "leave it out"
            ),
            ("affinity: {horizon: 0d}", .outOfRange, 7, 21, "100 years"),
            ("affinity: {regularizationExponent: 1.5}", .outOfRange, 7, 36, "1"),
            ("affinity: {regularizationExponent: count}", .wrongType, 7, 36, ""),
            (
                "affinity: {variant: popular, regularizationExponent: 1}", .contradiction, 7, 30,
                "hybrid"
            ),
            (
                "affinity: {confidenceWeight: 0, regularizationExponent: 1}", .contradiction, 7,
                33, "leave it out"
            ),
            ("sources: {}", .syntax, 0, 0, "keep one"),
            ("churn: {horizon: 13w", .syntax, 0, 0, ""),
            ("\tseed: 1", .syntax, 7, 1, ""),
        ] as [(String, PlanError.Problem.Kind, Int, Int, String)])
    func oneWrongLine(
        line: String, kind: PlanError.Problem.Kind, at lineNumber: Int, column: Int, hint: String
    ) throws {
        let found = problems(PlanTexts.minimal + "\n" + line + "\n")
        let problem = try #require(found.first)
        #expect(found.count == 1)
        #expect(problem.kind == kind)
        #expect(hint.isEmpty || problem.hint.contains(hint))
        // Line 0: where YAML itself sees the problem is its own affair.
        if lineNumber > 0 {
            #expect(problem.line == lineNumber)
            #expect(problem.column == column)
        }
    }

    /// Covariates of a lifetime model, in a plan with attributes.
    @Test(
        arguments: [
            ("model: nbd, covariates: [age]", .contradiction, "bgnbd, mbgnbd or paretonbd"),
            ("covariates: [age, age]", .contradiction, "keep one"),
            ("covariates: [age, interests]", .contradiction, "number or text"),
            ("covariates: [gendr]", .unknownValue, "did you mean `gender`?"),
            ("covariates: {age: 1}", .wrongType, ""),
        ] as [(String, PlanError.Problem.Kind, String)])
    func wrongCovariates(
        setting: String, kind: PlanError.Problem.Kind, hint: String
    ) throws {
        let text = PlanTexts.full.replacingOccurrences(
            of: "lifetime: {model: bgnbd, horizon: 39w, basis: revenue}",
            with: "lifetime:\n  {\(setting)}")
        let found = problems(text)
        #expect(found.count == 1, "\(found)")
        let problem = try #require(found.first)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let line = try #require(lines.firstIndex { $0.contains("covariates:") })
        #expect(problem.kind == kind && problem.line == line + 1)
        #expect(hint.isEmpty || problem.hint.contains(hint), "\(problem)")
    }

    /// The columns of a purchases source, whose first line is line 4.
    @Test(
        arguments: [
            (["customerID: c", "time: t"], .missing, 3, "amount"),
            (["customerID: c", "amount: a"], .missing, 3, "time"),
            (["time: t", "amount: a"], .missing, 3, "customerID"),
            (
                ["customerID: c", "time: t", "amount: a", "unitPrice: p"], .contradiction, 7,
                "unitPrice"
            ),
            (["customerID: c", "time: t", "unitPrice: p"], .missing, 6, "quantity"),
            (["customerID: c", "time: t", "quantity: q"], .missing, 3, "amount"),
            (
                ["customerID: c", "time: t", "amount: a", "margin: m", "cost: c"], .contradiction,
                8,
                "margin and cost"
            ),
            (["customerID: c", "time: t", "amout: a", "amount: a"], .unknownKey, 6, "amout"),
            (["customerID: 0", "time: t", "amount: a"], .outOfRange, 4, "customerID"),
            (["customerID: [c]", "time: t", "amount: a"], .wrongType, 4, "customerID"),
            (["customerID: {type: text}", "time: t", "amount: a"], .missing, 4, "column"),
            (
                ["customerID: {column: c, type: int}", "time: t", "amount: a"], .unknownValue, 4,
                "type"
            ),
            (
                ["customerID: c", "time: {column: t, format: ISO}", "amount: a"], .unknownValue, 5,
                "format"
            ),
        ] as [([String], PlanError.Problem.Kind, Int, String)])
    func wrongColumns(
        lines: [String], kind: PlanError.Problem.Kind, lineNumber: Int, what: String
    ) throws {
        let text =
            "sources:\n  purchases:\n    columns:\n"
            + lines.map { "      \($0)\n" }.joined()
        let found = problems(text)
        let problem = try #require(found.first)
        #expect(found.count == 1, "\(found)")
        #expect(problem.kind == kind)
        #expect(problem.line == lineNumber)
        #expect(problem.what.contains(what))
    }

    @Test(
        arguments: [
            ("", .missing, "empty"),
            ("# nothing\n", .missing, "empty"),
            ("hello", .wrongType, "mapping"),
            ("- a\n- b\n", .wrongType, "mapping"),
            ("seed: 1\n", .missing, "sources"),
            ("sources:\n  customers: {id: a}\n", .missing, "segmentations"),
            ("sources:\n  products: {id: a}\n", .missing, "purchases"),
            ("sources:\n  purchases:\n    files: a.csv\n", .missing, "columns"),
            ("a: 1\n---\nb: 2\n", .syntax, ""),
            ("a: \u{1}\n", .syntax, ""),
        ] as [(String, PlanError.Problem.Kind, String)])
    func wrongAsAWhole(text: String, kind: PlanError.Problem.Kind, what: String) throws {
        let problem = try #require(problems(text).first)
        #expect(problem.kind == kind)
        #expect(what.isEmpty || problem.what.contains(what))
    }

    @Test func deepNestingIsRefused() {
        #expect(problems(String(repeating: "[", count: 100_000)).map(\.kind) == [.syntax])
    }

    @Test func tooLargeAPlanIsNotRead() {
        let text = PlanTexts.minimal + "\n#" + String(repeating: "x", count: PlanLimits.byteCount)
        #expect(problems(text).map(\.kind) == [.tooLarge])
        let names = (0...PlanLimits.segmentationCount).map { "s\($0): {features: [revenue]}" }
        let many = PlanTexts.minimal + "\nsegmentations: {\(names.joined(separator: ", "))}\n"
        #expect(problems(many).map(\.kind) == [.tooLarge])
    }

    @Test func withoutHeaderColumnsAreNumbers() {
        let text = """
            sources:
              purchases:
                header: false
                delimiter: blanks
                columns:
                  customerID: 1
                  time: {column: date, format: yyyyMMdd}
                  amount: "5"
              customers:
                header: false
                id: 1
                attributes:
                  age: number
            """
        let found = problems(text)
        #expect(found.map(\.kind) == [.contradiction, .contradiction, .contradiction])
        #expect(found.map(\.line) == [7, 8, 13])
    }

    @Test func customersAndPurchasesNeedIDsOfOneType() {
        let text =
            PlanTexts.minimal
            + "\n  customers: {id: {column: c, type: integer}, attributes: {age: number}}"
        let found = problems(text)
        #expect(found.map(\.kind) == [.contradiction])
        #expect(found.first?.hint.contains("type: integer") ?? false)
    }

    @Test func entityProblems() {
        let text =
            PlanTexts.minimal + """

                  customers:
                    attributes:
                      age: numbr
                      interests: {type: set, separator: "::"}
                      city: {type: text, separator: ";"}
                      region: {column: Region}
                      zone: {type: text, kolumn: Zone}
                  products: {id: p, setAside: [duplicateId]}
                """
        let found = problems(text)
        #expect(found.map(\.line) == [7, 9, 10, 11, 12, 13, 14])
        #expect(
            found.map(\.kind) == [
                .missing, .unknownValue, .unknownValue, .contradiction, .missing, .unknownKey,
                .unknownValue,
            ])
    }

    @Test func allProblemsAreReportedInTheOrderOfTheirLines() throws {
        let text = """
            affinity: {factorCount: many}
            curency: GBP
            sources:
              purchases:
                delimiter: pipe
                columns:
                  time: t
            segmentations:
              value: {features: [revenue99Days]}
            """
        do throws(PlanError) {
            _ = try Plan(parsing: text, path: "shop/patron.yaml")
            Issue.record("a plan with problems was accepted")
        } catch {
            #expect(error.problems.map(\.line) == [1, 2, 5, 6, 6, 9])
            #expect(error.path == "shop/patron.yaml")
            let lines = error.description.split(separator: "\n")
            let first: Substring =
                "shop/patron.yaml:1:25: affinity.factorCount needs a whole number, found `many`"
            let second: Substring = """
                shop/patron.yaml:2:1: unknown key `curency` at the top level; \
                did you mean `currency`?
                """
            #expect(lines.prefix(2) == [first, second])
        }
    }

    @Test func anchorsAndAliases() throws {
        let text = PlanTexts.minimal + "\nchurn: {horizon: &h 26w}\nlifetime: {horizon: *h}\n"
        let plan = try Plan(parsing: text, path: "")
        #expect(plan.lifetime.horizon == Horizon(26, .week))
        // Nine lists of nine, each of the one before: the plan never unfolds them.
        var bomb = PlanTexts.minimal + "\naffinity:\n  factorCount: &a0 [1]\n"
        for level in 1...9 {
            let items = [String](repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            bomb += "  x\(level): &a\(level) [\(items)]\n"
        }
        #expect(problems(bomb).count == 10)
    }

    /// A name that says what an attribute of products is; customers may call theirs as they like.
    @Test func marginRatesOfProductsAreNumbers() throws {
        func text(_ source: String, _ kind: String) -> String {
            PlanTexts.minimal + """

                  \(source):
                    id: id
                    attributes:
                      price: number
                      margin_rate: \(kind)

                """
        }
        let plan = try Plan(parsing: text("products", "number"), path: "")
        let attributes = try #require(plan.sources.products?.mapping.attributes)
        #expect(attributes.map(\.isMarginRate) == [false, true])
        #expect(try Plan(parsing: plan.canonicalText, path: "") == plan)
        #expect(plan.canonicalText.contains("type: number}\n      \"margin_rate\": {column: "))
        let found = problems(text("products", "text"))
        #expect(found.map(\.kind) == [.contradiction])
        #expect((found.first?.line, found.first?.column) == (11, 7))
        #expect(found.first?.hint.contains("margin_rate: number") == true)
        #expect(problems(text("customers", "text")).isEmpty)
        let own = try Plan(parsing: text("customers", "number"), path: "")
        #expect(own.sources.customers?.mapping.attributes.contains { $0.isMarginRate } == false)
    }

    @Test func filesLieBesideThePlan() {
        #expect(Plan.path(of: "a.csv", besidePlan: "/shop/patron.yaml") == "/shop/a.csv")
        #expect(Plan.path(of: "a.csv", besidePlan: "patron.yaml") == "a.csv")
        #expect(Plan.path(of: "/data/a.csv", besidePlan: "/shop/patron.yaml") == "/data/a.csv")
    }
}
