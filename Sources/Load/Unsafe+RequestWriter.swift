import ByteCoding
import Numerical
import Wire

/// Draws requests by the plan and appends their bytes to a connection's output.
struct RequestWriter {
    /// A frame of Patron whose ids and request id are filled in.
    private struct Template {
        var bytes: [UInt8]
        /// Integer ids are the last 8 x idCount bytes of every such frame; 0 for text ids, which
        /// are encoded anew each time.
        var idCount: Int
        var isWhole: Bool
    }

    private let plan: LoadPlan
    private let customers: KeySource?
    private let products: KeySource?
    private let templates: [Template]
    private var random: SeededRandom
    private var writer = ByteWriter()

    /// - Parameter stream: threads have different ones and so draw different requests.
    init(_ plan: LoadPlan, stream: UInt64) {
        self.plan = plan
        customers = plan.customers.map { KeySource($0, plan.keys) }
        products = plan.products.map { KeySource($0, plan.keys) }
        random = SeededRandom(seed: plan.seed, stream: stream)
        var templates: [Template] = []
        if plan.speaks == .patron {
            for operation in plan.mix.operations {
                let source = Self.source(operation, customers, products)
                let isWhole = source?.areIntegers ?? true
                let idCount =
                    source == nil ? 0 : operation == .lookup ? plan.idsPerRequest : 1
                var bytes: [UInt8] = []
                if isWhole {
                    var writer = ByteWriter()
                    let ids = [Int64](repeating: 0, count: idCount)
                    let request = Self.request(operation, .integers(ids), plan)
                    request.encodeFrame(
                        requestID: 1, meta: Self.meta(request, plan), into: &writer)
                    bytes = writer.bytes
                }
                templates.append(
                    Template(bytes: bytes, idCount: idCount, isWhole: isWhole))
            }
        }
        self.templates = templates
    }

    private static func source(
        _ operation: Operation, _ customers: KeySource?, _ products: KeySource?
    ) -> KeySource? {
        switch operation.subject {
        case .customer: customers
        case .product: products
        case nil: nil
        }
    }

    private static func request(
        _ operation: Operation, _ ids: IDColumn, _ plan: LoadPlan
    ) -> Request {
        let (id, count) = (ids.count > 0 ? ids[0] : .integer(0), plan.resultCount)
        let top = TopRequest(id: id, count: count, excludesPurchased: true)
        switch operation {
        case .ping: return .ping(PingRequest(token: 0))
        case .describe: return .describe
        case .lookup: return .lookup(LookupRequest(ids: ids, columns: plan.columns))
        case .topProducts: return .topProducts(top)
        case .topCustomers: return .topCustomers(top)
        case .similarCustomers:
            return .similar(SimilarRequest(subject: .customer, id: id, count: count))
        case .similarProducts:
            return .similar(SimilarRequest(subject: .product, id: id, count: count))
        case .segments: return .segments(SegmentsRequest())
        case .segmentProfiles: return .segmentProfiles(SegmentsRequest())
        case .offerProducts: return .offerProducts(OfferProductsRequest(id: id, count: count))
        case .offerCustomers: return .offerCustomers(OfferCustomersRequest(id: id, count: count))
        case .count: return .count(CountRequest(rule: plan.rule ?? ""))
        case .audience, .scan:
            let stream = StreamRequest(
                credit: UInt32(LoadPlan.credit), columns: plan.columns,
                rule: operation == .audience ? plan.rule : nil)
            return operation == .audience ? .audience(stream) : .scan(stream)
        }
    }

    /// PING takes no label.
    private static func meta(_ request: Request, _ plan: LoadPlan) -> [MetaItem] {
        guard let label = plan.label, request.opcode.takesLabel else { return [] }
        return [.modelLabel(label)]
    }

    /// The place in the mix of the next request's operation.
    mutating func drawOperation() -> Int { plan.mix.draw(&random) }

    /// Appends a request of an operation.
    mutating func write(operation: Int, requestID: UInt32, into output: inout OutputBuffer) {
        switch plan.speaks {
        case .patron: writeFrame(operation, requestID, into: &output)
        case .redis: writeRedis(into: &output)
        case .memcached: writeMemcached(into: &output)
        }
    }

    /// Appends what lets a server send that many bytes more of a stream.
    mutating func write(credit: Int, requestID: UInt32, into output: inout OutputBuffer) {
        writer.removeAll()
        Request.credit(CreditMessage(credit: UInt32(clamping: credit)))
            .encodeFrame(requestID: requestID, into: &writer)
        output.append(writer.bytes)
    }

    private mutating func writeFrame(
        _ operation: Int, _ requestID: UInt32, into output: inout OutputBuffer
    ) {
        let template = templates[operation]
        let name = plan.mix.operations[operation]
        let source = Self.source(name, customers, products)
        guard template.isWhole else {
            if let source {
                var texts = TextArray()
                for _ in 0..<template.idCount { texts.append(source.text(source.draw(&random))) }
                writer.removeAll()
                let request = Self.request(name, .texts(texts), plan)
                request.encodeFrame(
                    requestID: requestID, meta: Self.meta(request, plan), into: &writer)
                output.append(writer.bytes)
            }
            return
        }
        let byteCount = template.bytes.count
        let frame = output.extend(byteCount)
        template.bytes.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { frame.copyMemory(from: base, byteCount: byteCount) }
        }
        frame.storeBytes(of: requestID.littleEndian, toByteOffset: 12, as: UInt32.self)
        if let source, template.idCount > 0 {
            var place = byteCount - 8 * template.idCount
            while place < byteCount {
                let id = source.integer(source.draw(&random))
                frame.storeBytes(of: id.littleEndian, toByteOffset: place, as: Int64.self)
                place += 8
            }
            let start = FrameHeader.byteCount
            frame.storeBytes(
                of: Self.checksum(frame + start, byteCount - start).littleEndian,
                toByteOffset: 24, as: UInt32.self)
        }
        frame.storeBytes(
            of: Self.checksum(frame, FrameHeader.countedBytes).littleEndian, toByteOffset: 28,
            as: UInt32.self)
    }

    private static func checksum(_ start: UnsafeMutableRawPointer, _ count: Int) -> UInt32 {
        var crc = CRC32C()
        crc.add(UnsafeRawBufferPointer(start: start, count: count))
        return crc.value
    }

    /// `GET key`, or `MGET key key …`, as arrays of bulk strings.
    private mutating func writeRedis(into output: inout OutputBuffer) {
        guard let customers else { return }
        if plan.idsPerRequest == 1 {
            output.append("*2\r\n$3\r\nGET\r\n")
        } else {
            output.append("*")
            output.append(decimal: Int64(plan.idsPerRequest + 1))
            output.append("\r\n$4\r\nMGET\r\n")
        }
        for _ in 0..<plan.idsPerRequest {
            let place = customers.draw(&random)
            output.append("$")
            if customers.areIntegers {
                let id = customers.integer(place)
                let length = plan.keyPrefix.utf8.count + OutputBuffer.digitCount(id)
                output.append(decimal: Int64(length))
                output.append("\r\n")
                output.append(plan.keyPrefix)
                output.append(decimal: id)
            } else {
                let id = customers.text(place)
                output.append(decimal: Int64(plan.keyPrefix.utf8.count + id.utf8.count))
                output.append("\r\n")
                output.append(plan.keyPrefix)
                output.append(id)
            }
            output.append("\r\n")
        }
    }

    /// `get key key …`.
    private mutating func writeMemcached(into output: inout OutputBuffer) {
        guard let customers else { return }
        output.append("get")
        for _ in 0..<plan.idsPerRequest {
            let place = customers.draw(&random)
            output.append(" ")
            output.append(plan.keyPrefix)
            if customers.areIntegers {
                output.append(decimal: customers.integer(place))
            } else {
                output.append(customers.text(place))
            }
        }
        output.append("\r\n")
    }
}
