-- Wireshark dissector of the Patron wire protocol, version 1 (WIRE.md). For Wireshark 3.6 and later.
--
--   tshark -X lua_script:patron.lua -r FILE        or put it into a folder of Help > About > Folders,
--                                                  "Personal Lua Plugins"
--
-- Takes TCP port 7070 (a preference), and any TCP stream that begins with a frame. Tables of names
-- are written by tools/check_dissector --write from WIRE.md; the same program tests all of this.

local patron = Proto("patron", "Patron Wire Protocol")

-- <names>: written by tools/check_dissector --write from WIRE.md
local opcodes = {
    [1] = "HELLO",
    [2] = "PING",
    [3] = "GOAWAY",
    [4] = "CREDIT",
    [5] = "CANCEL",
    [6] = "PROGRESS",
    [16] = "DESCRIBE",
    [32] = "LOOKUP",
    [33] = "SCORE",
    [34] = "TOP_PRODUCTS",
    [35] = "TOP_CUSTOMERS",
    [36] = "SIMILAR",
    [37] = "EXPLAIN",
    [38] = "SEGMENTS",
    [39] = "SEGMENT_PROFILES",
    [40] = "OFFER_PRODUCTS",
    [41] = "OFFER_CUSTOMERS",
    [48] = "COUNT",
    [49] = "AUDIENCE",
    [50] = "SCAN",
    [64] = "APPEND",
    [65] = "ERASE",
    [80] = "MODELS",
    [81] = "SNAPSHOT",
    [82] = "PUBLISH",
    [83] = "STATS",
    [84] = "DRAIN",
    [85] = "SHADOW",
}
local flag_names = {
    [0] = "LZ4",
    [1] = "MORE",
    [2] = "META",
    [8] = "QUIET",
}
local meta_tags = {
    [0x0001] = "idempotencyKey",
    [0x0002] = "traceID",
    [0x0003] = "priority",
    [0x0004] = "warning",
    [0x0005] = "retryAfterMilliseconds",
    [0x0006] = "timings",
    [0x8004] = "modelLabel",
}
local features = {
    [0] = "lz4",
    [1] = "streams",
    [2] = "timings",
    [3] = "affinityFacts",
    [4] = "progress",
}
local status_classes = {
    [0] = "ok",
    [1] = "fixRequest",
    [2] = "notFound",
    [3] = "retryNow",
    [4] = "overloaded",
    [5] = "unavailable",
    [6] = "notAllowed",
    [7] = "protocolError",
    [8] = "deadlinePassed",
    [9] = "cancelled",
    [10] = "unsupported",
    [11] = "dataDamaged",
    [12] = "internalError",
}
local statuses = {
    [0] = "ok",
    [101] = "truncatedBody",
    [102] = "trailingBytes",
    [103] = "valueOutOfRange",
    [104] = "tooManyItems",
    [105] = "nonzeroReserved",
    [106] = "misalignedBuffer",
    [107] = "invalidText",
    [108] = "invalidMeta",
    [109] = "unknownColumn",
    [110] = "duplicateColumn",
    [111] = "wrongIDKind",
    [112] = "overBudget",
    [113] = "requestIDInUse",
    [114] = "bufferOutsideBody",
    [115] = "invalidOffsets",
    [116] = "answerTooLarge",
    [117] = "rawLengthMismatch",
    [118] = "notFinite",
    [119] = "invalidRule",
    [120] = "invalidBlock",
    [130] = "unusableLines",
    [131] = "otherCurrency",
    [201] = "unknownCustomer",
    [202] = "unknownProduct",
    [203] = "unknownSegmentation",
    [204] = "unknownLabel",
    [205] = "unknownGeneration",
    [301] = "snapshotChanged",
    [401] = "tooManyInFlight",
    [402] = "tooManyConnections",
    [403] = "outputFull",
    [410] = "logBusy",
    [501] = "loading",
    [502] = "draining",
    [503] = "notInSnapshot",
    [504] = "workspaceLocked",
    [510] = "notDurable",
    [601] = "authenticationFailed",
    [602] = "scopeMissing",
    [701] = "badMagic",
    [702] = "headerChecksumMismatch",
    [703] = "unsupportedVersion",
    [704] = "badHeaderSize",
    [705] = "frameTooSmall",
    [706] = "frameTooLarge",
    [707] = "bodyChecksumMismatch",
    [708] = "helloRequired",
    [709] = "unexpectedHello",
    [710] = "wrongDirection",
    [711] = "handshakeTimeout",
    [712] = "idleTimeout",
    [713] = "peerTooSlow",
    [714] = "unexpectedEnd",
    [801] = "deadlinePassed",
    [901] = "cancelled",
    [1001] = "unsupportedOperation",
    [1002] = "unsupportedFlag",
    [1003] = "compressionNotNegotiated",
    [1004] = "unsupportedTag",
    [1005] = "unsupportedEncoding",
    [1006] = "unsupportedType",
    [1007] = "unsupportedFeature",
    [1010] = "readOnly",
    [1101] = "snapshotDamaged",
    [1201] = "internalError",
}
local score_statuses = {
    [0] = "ok",
    [1] = "unknownCustomer",
    [2] = "tooLittleHistory",
    [3] = "onlyReturns",
    [4] = "modelNotFitted",
    [5] = "notEligible",
}
local columns = {
    [0x0001] = "repeatPurchaseCount",
    [0x0002] = "ageAtLastPurchaseDays",
    [0x0003] = "observedAgeDays",
    [0x0004] = "daysSinceLastPurchase",
    [0x0005] = "meanOrderValue",
    [0x0006] = "revenue",
    [0x0007] = "margin",
    [0x0010] = "probabilityAlive",
    [0x0011] = "expectedPurchases",
    [0x0012] = "expectedOrderValue",
    [0x0013] = "lifetimeValue",
    [0x0014] = "churnProbability",
    [0x0015] = "simpleLifetimeValue",
    [0x0016] = "valueTier",
    [0x0017] = "lifetimeChurnProbability",
    [0x001c] = "promotionLift",
    [0xf001] = "rowStatus",
    [0xf002] = "entityID",
    [0xf003] = "score",
    [0xf004] = "purchaseProbability",
    [0xf005] = "expectedMargin",
    [0xf006] = "affinityBasis",
    [0xf007] = "promotionLift",
    [0xf010] = "segmentation",
    [0xf011] = "segmentID",
    [0xf012] = "segmentName",
    [0xf013] = "segmentCustomerCount",
    [0xf014] = "segmentCustomerShare",
    [0xf015] = "segmentRevenue",
    [0xf016] = "segmentRevenueShare",
    [0xf017] = "segmentMeanLifetimeValue",
    [0xf018] = "segmentMeanChurnProbability",
    [0xf019] = "segmentMargin",
    [0xf01a] = "segmentMeanExpectedPurchases",
    [0xf01b] = "segmentDistinctions",
    [0xf020] = "columnID",
    [0xf021] = "columnName",
    [0xf022] = "columnType",
    [0xf023] = "columnUnit",
    [0xf024] = "columnDescription",
    [0xf025] = "columnValueNames",
    [0xf030] = "profileFeature",
    [0xf031] = "profileCategory",
    [0xf032] = "profileMean",
    [0xf033] = "profileIndex",
    [0xf034] = "profileDifference",
    [0xf035] = "profileMissingShare",
    [0xf036] = "profileOverallMean",
    [0xf050] = "explainValue",
    [0xf051] = "explainText",
    [0xf052] = "explainSegmentText",
    [0xf053] = "explainNextText",
    [0xf054] = "explainNextMean",
    [0xf055] = "explainDifference",
    [0xf056] = "explainShare",
    [0xf080] = "lineDay",
    [0xf081] = "lineTime",
    [0xf082] = "lineAmount",
    [0xf083] = "lineMargin",
    [0xf084] = "lineCost",
    [0xf085] = "lineQuantity",
    [0xf086] = "lineOrder",
    [0xf087] = "lineProduct",
    [0xf088] = "lineCategory",
    [0xf089] = "linePromotion",
    [0xf08a] = "lineChannel",
    [0xf090] = "refusedLine",
    [0xf091] = "refusedColumn",
    [0xf092] = "refusalReason",
    [0xf0a0] = "label",
    [0xf0a1] = "generation",
    [0xf0a2] = "generationAsOfDay",
    [0xf0a3] = "generationCustomerCount",
    [0xf0a4] = "generationByteCount",
    [0xf0a5] = "generationModels",
    [0xf0a6] = "generationLabels",
    [0xf0a7] = "generationState",
    [0xf0a8] = "generationProblem",
    [0xf0a9] = "modelName",
    [0xf0aa] = "modelVersion",
    [0xf0ab] = "modelChecksum",
    [0xf0ac] = "statGroup",
    [0xf0ad] = "statName",
    [0xf0ae] = "statValue",
    [0xf0af] = "statUnit",
    [0xf0b0] = "shadowCompared",
    [0xf0b1] = "shadowDiffering",
    [0xf0b2] = "shadowOnlyCurrent",
    [0xf0b3] = "shadowOnlyCandidate",
    [0xf0b4] = "shadowMeanDifference",
    [0xf0b5] = "shadowLargestDifference",
    [0xf0b6] = "shadowMedianDifference",
    [0xf0b7] = "shadowDifference90",
    [0xf0b8] = "shadowDifference99",
    [0xf0b9] = "shadowFrom",
    [0xf0ba] = "shadowTo",
    [0xf0bb] = "shadowMoveCount",
    [0xf0c0] = "erasureFound",
}
-- </names>

patron.prefs.port = Pref.uint("TCP port", 7070, "0 for none; other ports are found by their first frame")
patron.prefs.checksums = Pref.bool("Verify checksums", true, "CRC-32C of header and of what follows it")
patron.prefs.rows = Pref.uint("Rows of a table to show", 100, "The others are only counted")

-- Fields

local all_fields, f = {}, {}

local function field(name, kind, title, ...)
    f[name] = ProtoField[kind]("patron." .. name, title, ...)
    all_fields[#all_fields + 1] = f[name]
end

field("length", "uint32", "Length")
field("magic", "uint16", "Magic", base.HEX)
field("version", "uint8", "Version")
field("header_words", "uint8", "Header words")
field("opcode", "uint16", "Opcode", base.HEX, opcodes, 0x7FFF)
field("is_answer", "bool", "Answer", 16, nil, 0x8000)
field("flags", "uint16", "Flags", base.HEX)
for bit_number, name in pairs(flag_names) do
    field("flag." .. name:lower(), "bool", name, 16, nil, bit.lshift(1, bit_number))
end
field("flag.unknown_critical", "uint16", "Unknown critical flags", base.HEX, nil, 0x00F8)
field("flag.unknown_optional", "uint16", "Unknown optional flags", base.HEX, nil, 0xFE00)
field("request_id", "uint32", "Request ID")
field("raw_length", "uint32", "Raw length")
field("deadline_milliseconds", "uint32", "Deadline (ms)")
field("status", "uint32", "Status", base.DEC, statuses)
field("status_class", "uint32", "Status class", base.DEC, status_classes)
field("body_crc", "uint32", "Body CRC", base.HEX)
field("header_crc", "uint32", "Header CRC", base.HEX)
field("header_excess", "bytes", "Header excess")
field("body_bytes", "bytes", "Body")
field("response_in", "framenum", "Response in", base.NONE, frametype.RESPONSE)
field("request_in", "framenum", "Request in", base.NONE, frametype.REQUEST)
field("time", "relative_time", "Time from the request")

field("meta.bytes", "uint32", "Bytes of the items")
field("meta.tag", "uint16", "Tag", base.HEX, meta_tags)
field("meta.size", "uint16", "Size")
field("idempotency_key", "bytes", "Idempotency key")
field("trace_id", "bytes", "Trace ID")
field("priority", "uint8", "Priority")
field("warning", "string", "Warning")
field("retry_after_milliseconds", "uint32", "Retry after (ms)")
field("queue_microseconds", "uint32", "Time in the queue (µs)")
field("compute_microseconds", "uint32", "Time of computing (µs)")
field("encode_microseconds", "uint32", "Time of encoding (µs)")
field("meta.value", "bytes", "Value")

field("minimum_version", "uint8", "Minimum version")
field("maximum_version", "uint8", "Maximum version")
field("maximum_frame_bytes", "uint32", "Largest frame")
for _, kind in ipairs { "required_features", "optional_features", "active_features", "offered_features" } do
    field(kind, "uint64", kind:gsub("_", " "):gsub("^%l", string.upper), base.HEX)
end
field("feature", "string", "Feature")
field("credential_kind", "uint16", "Credential kind", base.DEC, { [0] = "none", "token" })
field("credential_bytes", "uint16", "Credential bytes")
field("credential", "bytes", "Credential")
field("text_bytes", "uint32", "Text bytes")
field("client_name", "string", "Client name")
field("server_name", "string", "Server name")
field("maximum_lookup_ids", "uint32", "IDs of a LOOKUP")
field("maximum_in_flight", "uint32", "Requests in flight")
field("idle_milliseconds", "uint32", "Idle (ms)")
field("default_deadline_milliseconds", "uint32", "Default deadline (ms)")
field("generation", "uint64", "Generation")
field("as_of_day", "int32", "As-of day")
field("ping.token", "uint64", "Token")
field("model_label", "string", "Label of the snapshot")
field("action", "uint8", "Action")
field("label_bytes", "uint8", "Label bytes")
field("label", "string", "Label")
field("parts_per_million", "uint32", "Parts per million")
field("previous_generation", "uint64", "Generation before")
field("verified_byte_count", "uint64", "Bytes verified")
field("state", "uint32", "State", base.DEC, { [0] = "none", "running", "stopped", "overtaken" })
field("sampled_count", "uint64", "IDs chosen")
field("compared_count", "uint64", "Customers compared")
field("only_in_current_count", "uint64", "Only in the current generation")
field("only_in_candidate_count", "uint64", "Only in the candidate")
field("dropped_count", "uint64", "IDs dropped")
field("elapsed_milliseconds", "uint64", "Elapsed (ms)")
field("done", "uint64", "Done")
field("total", "uint64", "Total")
field("unit", "uint8", "Unit", base.DEC, { "bytes", "customers" })
field("grace_milliseconds", "uint32", "Grace (ms)")
field("error.text", "string", "Text")
field("error.hint", "string", "Hint")
field("error.field", "string", "Field at fault")
field("error.byte_offset", "uint32", "Byte offset of the fault")
field("error.generation", "uint64", "Generation that was asked")

local id_kinds = { [0] = "none", "integer", "text" }
field("id_kind", "uint8", "ID kind", base.DEC, id_kinds)
field("options", "uint8", "Options", base.HEX)
field("leaves_out_unknown_columns", "bool", "Leave out unknown columns", 8, nil, 1)
field("excludes_purchased", "bool", "Leave out what was bought", 8, nil, 1)
field("only_purchased", "bool", "Only what was bought", 8, nil, 2)
field("includes_out_of_stock", "bool", "Also what is out of stock", 8, nil, 4)
field("is_promoted", "bool", "While the product is promoted", 8, nil, 2)
field("column_count", "uint16", "Columns")
field("id_count", "uint32", "IDs")
field("count", "uint32", "Results wanted")
field("columns", "uint16", "Column", base.DEC, columns)
field("id.integer", "int64", "ID")
field("id.text", "string", "ID")
field("offer", "uint8", "Offer", base.DEC, { [0] = "next", "crossSell", "upSell" })
field("rank", "uint8", "Rank")
field("subject", "uint8", "Subject", base.DEC, { "customer", "product" })
field("lowest_price", "int64", "Lowest price (1/10000)")
field("highest_price", "int64", "Highest price (1/10000)")
field("largest_ratio_percent", "uint16", "Largest ratio (%)")
field("category_count", "uint16", "Categories")
field("bought_since_count", "uint16", "Products bought since")
field("categories", "string", "Category")
field("attribute_count", "uint16", "Attributes")
field("attributes", "string", "Attribute")
field("segment", "int32", "Segment")
field("next_segment", "int32", "Next segment")
field("distance", "double", "Distance")
field("next_distance", "double", "Distance to the next segment")
field("model_version", "uint32", "Model version")
field("bought_since", "string", "Bought since")
field("segmentation", "string", "Segmentation")
field("rule", "string", "Rule")
field("credit", "uint32", "Credit (bytes)")
field("decimals", "uint8", "Decimals of amounts")
field("currency", "string", "Currency")
field("sequence", "uint64", "Record")
field("erased_at", "int64", "Erased at (s since 1970)")
field("accepted_lines", "uint32", "Lines taken")
field("refused_lines", "uint32", "Lines refused")
field("is_repeat", "bool", "Repeat", 8, nil, 1)
field("resume_token", "bytes", "Resume token")
field("scanned_customers", "uint64", "Customers gone past")
field("matching_customers", "uint64", "Customers that match")
field("customer_count", "uint64", "Customers")
field("product_count", "uint64", "Products")
field("customer_id_kind", "uint8", "Customer ID kind", base.DEC, id_kinds)
field("product_id_kind", "uint8", "Product ID kind", base.DEC, id_kinds)
field("affinity.variant", "uint8", "Affinity variant", base.DEC,
    { [0] = "none", "factors", "hybrid", "popular", "repeatPurchase" })
field("affinity.offers", "uint32", "Offers", base.HEX)

field("stamp.bytes", "uint32", "Stamp bytes")
field("stamp.as_of_day", "int32", "As-of day")
field("stamp.generation", "uint64", "Generation")
field("stamp.currency", "string", "Currency")
field("stamp.model_count", "uint16", "Models")
field("model.version", "uint32", "Version")
field("model.checksum", "uint32", "Checksum", base.HEX)
field("model.name", "string", "Name")
field("table.row_count", "uint32", "Rows")
field("table.column_count", "uint16", "Columns")
field("table.descriptor_bytes", "uint16", "Descriptor bytes")
field("table.subject_status", "uint8", "Subject status", base.DEC, score_statuses)
field("column.id", "uint16", "Column", base.DEC, columns)
field("column.type", "uint8", "Type", base.DEC, { "int32", "int64", "float32", "float64", "text" })
field("column.encoding", "uint8", "Encoding", base.DEC, { [0] = "plain", "constant" })
field("column.flags", "uint8", "Column flags", base.HEX)
field("column.has_bitmap", "bool", "Validity bitmap", 8, nil, 1)
field("column.all_missing", "bool", "All rows missing", 8, nil, 2)
field("column.skippable", "bool", "Skippable", 8, nil, 4)
field("column.validity_offset", "uint32", "Validity offset")
field("column.values_offset", "uint32", "Values offset")
field("column.values_bytes", "uint32", "Values bytes")
field("column.text_offset", "uint32", "Text offset")
field("column.text_bytes", "uint32", "Text bytes")
field("column.excess", "bytes", "Descriptor excess")
field("cell.integer", "int64", "Value")
field("cell.real", "double", "Value")
field("cell.text", "string", "Value")
field("cell.missing", "none", "No value")
patron.fields = all_fields

-- Expert information

local experts, all_experts = {}, {}

local function expert_info(name, title, group, severity)
    experts[name] = ProtoExpert.new("patron." .. name, title, group, severity)
    all_experts[#all_experts + 1] = experts[name]
end

expert_info("bad_magic", "Not a Patron frame", expert.group.PROTOCOL, expert.severity.ERROR)
expert_info("bad_header", "A header that ends the connection", expert.group.PROTOCOL, expert.severity.ERROR)
expert_info("header_checksum", "Header checksum mismatch", expert.group.CHECKSUM, expert.severity.ERROR)
expert_info("body_checksum", "Body checksum mismatch", expert.group.CHECKSUM, expert.severity.ERROR)
expert_info("malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
expert_info("unsupported", "Unsupported", expert.group.UNDECODED, expert.severity.WARN)
expert_info("refused", "Refused", expert.group.RESPONSE_CODE, expert.severity.NOTE)
patron.experts = all_experts

-- CRC-32C

local crc_table = {}
for index = 0, 255 do
    local word = index
    for _ = 1, 8 do
        local low = bit.band(word, 1)
        word = bit.rshift(word, 1)
        if low == 1 then word = bit.bxor(word, 0x82F63B78) end
    end
    crc_table[index] = word
end

local function crc32c(bytes)
    local state = bit.bnot(0)
    local band, bxor, rshift, byte = bit.band, bit.bxor, bit.rshift, string.byte
    for index = 1, #bytes do
        state = bxor(crc_table[band(bxor(state, byte(bytes, index)), 0xFF)], rshift(state, 8))
    end
    return bit.bnot(state)
end

-- Reading. A reader walks over a range of a buffer and adds what it reads to a tree; what does not
-- fit raises a fault, which becomes expert information.

local function fault(name, text) error({ fault = name, text = text }, 0) end

local function demand(condition, text, name)
    if not condition then fault(name or "valueOutOfRange", text) end
end

-- Whether bytes are UTF-8, overlong forms and surrogates refused.
local function is_text(bytes)
    local at, size = 1, #bytes
    while at <= size do
        local first, second = bytes:byte(at, at + 1)
        local more = first < 0x80 and 0 or first < 0xC2 and 9 or first < 0xE0 and 1
            or first < 0xF0 and 2 or first < 0xF5 and 3 or 9
        if at + more > size then return false end
        if more > 0 then
            local low = (first == 0xE0 and 0xA0) or (first == 0xF0 and 0x90) or 0x80
            local high = (first == 0xED and 0x9F) or (first == 0xF4 and 0x8F) or 0xBF
            if second < low or second > high then return false end
            for place = at + 2, at + more do
                if bytes:byte(place) < 0x80 or bytes:byte(place) > 0xBF then return false end
            end
        end
        at = at + more + 1
    end
    return true
end

local Reader = {}
Reader.__index = Reader

local function reader(tvb, at, stop, tree)
    return setmetatable({ tvb = tvb, start = at, at = at, stop = stop, tree = tree }, Reader)
end

function Reader:range(size, what)
    if size < 0 or self.at + size > self.stop then
        fault("truncatedBody", (what or "a field") .. " reaches past the end")
    end
    local range = self.tvb(self.at, size)
    self.at = self.at + size
    return range
end

function Reader:add(name, size, tree)
    local range = self:range(size, name)
    local item = (tree or self.tree):add_le(f[name], range)
    if size <= 4 then return range:le_uint(), item end
    return range, item
end

function Reader:zero(size)
    local range = self:range(size, "a zero field")
    local bytes = range:raw()
    if bytes:find("[^%z]") then
        self.tree:add_proto_expert_info(experts.malformed, "a zero field is not 0 (nonzeroReserved)")
    end
end

function Reader:text(name, size, tree)
    tree = tree or self.tree
    local range = self:range(size, name)
    if size == 0 then return "", tree:add(f[name], range, "") end
    local is_meta = name == "warning" or name == "model_label"
    demand(is_text(range:raw()), name .. " is not UTF-8", is_meta and "invalidMeta" or "invalidText")
    return range:string(ENC_UTF_8), tree:add_packet_field(f[name], range, ENC_UTF_8 + ENC_STRING)
end

function Reader:limited(name, size, limit)
    local value, item = self:add(name, size)
    if value > limit then fault("tooManyItems", name .. " " .. value .. ", at most " .. limit) end
    return value, item
end

function Reader:finish()
    if self.at ~= self.stop then
        fault("trailingBytes", (self.stop - self.at) .. " bytes after the last field")
    end
end

local function has(value, mask) return bit.band(value, mask) ~= 0 end

-- Section 3.1: one LZ4 block

local function decompress(block, raw_length)
    local byte, rep, sub = string.byte, string.rep, string.sub
    -- `text` is the latest part: matches reach back 65,535 bytes.
    local at, size, text, done, pieces = 1, #block, "", 0, {}
    local function bad() fault("invalidBlock", "at byte " .. at - 1 .. " of the block") end
    local function more(length)
        if length == 15 then
            repeat
                local next_byte = byte(block, at) or bad()
                at, length = at + 1, length + next_byte
            until next_byte < 255
        end
        return length
    end
    while true do
        local token = byte(block, at) or bad()
        at = at + 1
        local count = more(bit.rshift(token, 4))
        if at + count > size + 1 or done + #text + count > raw_length then bad() end
        text = text .. sub(block, at, at + count - 1)
        at = at + count
        if at == size + 1 then break end
        if at + 1 > size then bad() end
        local distance = byte(block, at) + 256 * byte(block, at + 1)
        at = at + 2
        count = more(bit.band(token, 15)) + 4
        if distance == 0 or distance > #text or done + #text + count > raw_length - 5 then bad() end
        local piece = sub(text, -distance)
        text = text .. sub(rep(piece, math.floor(count / distance) + 1), 1, count)
        if #text > 131072 then
            pieces[#pieces + 1] = sub(text, 1, -65537)
            done = done + #text - 65536
            text = sub(text, -65536)
        end
    end
    done = done + #text
    if done ~= raw_length then fault("invalidBlock", done .. " bytes instead of " .. raw_length) end
    return table.concat(pieces) .. text
end

-- Section 4: meta block

local meta_values = {
    "idempotency_key", "trace_id", "priority", "warning", "retry_after_milliseconds",
}
-- The least and the most bytes of a value.
local meta_sizes = { { 16, 16 }, { 1, 64 }, { 1, 1 }, { 1, 1024 }, { 4, 4 }, { 12, 12 } }

local function read_meta(r, takes_label)
    if r.stop - r.at < 4 then fault("invalidMeta", "no meta block") end
    local size = r.tvb(r.at, 4):le_uint()
    local tree = r.tree:add(patron, r.tvb(r.at, math.min(4 + size, r.stop - r.at)), "Meta")
    tree:add_le(f["meta.bytes"], r.tvb(r.at, 4))
    if size > 4096 or r.at + 4 + size > r.stop then
        fault("invalidMeta", "a meta block of " .. size .. " bytes")
    end
    local items = reader(r.tvb, r.at + 4, r.at + 4 + size, tree)
    local seen, count = {}, 0
    while items.at < items.stop do
        if items.stop - items.at < 4 then fault("invalidMeta", "an item is cut") end
        local tag, bytes = items.tvb(items.at, 2):le_uint(), items.tvb(items.at + 2, 2):le_uint()
        if items.at + 4 + bytes > items.stop then fault("invalidMeta", "an item runs past the block") end
        if seen[tag] or count == 32 then fault("invalidMeta", "a tag twice, or more than 32 items") end
        seen[tag], count = true, count + 1
        local title = "Item " .. (meta_tags[tag] or string.format("0x%04x", tag))
        local item = tree:add(patron, items.tvb(items.at, 4 + bytes), title)
        items:add("meta.tag", 2, item)
        items:add("meta.size", 2, item)
        local sizes = meta_sizes[tag]
        if sizes and (bytes < sizes[1] or bytes > sizes[2]) then
            fault("invalidMeta", "tag " .. tag .. " of " .. bytes .. " bytes")
        end
        if tag == 6 then
            for _, name in ipairs { "queue_microseconds", "compute_microseconds", "encode_microseconds" } do
                items:add(name, 4, item)
            end
        elseif tag == 4 then
            items:text("warning", bytes, item)
        elseif tag == 0x8004 and takes_label then
            if bytes < 1 or bytes > 64 then fault("invalidMeta", "a label of " .. bytes .. " bytes") end
            items:text("model_label", bytes, item)
        elseif meta_values[tag] then
            if tag <= 2 then
                item:add(f[meta_values[tag]], items:range(bytes))
            else
                items:add(meta_values[tag], bytes, item)
            end
        else
            if bytes > 0 then item:add(f["meta.value"], items:range(bytes)) end
            if has(tag, 0x8000) then
                item:add_proto_expert_info(experts.unsupported, "an unknown critical tag (unsupportedTag)")
            end
        end
    end
    r.at = items.stop
end

-- Section 7: messages

local function add_features(r, name)
    local range, item = r:add(name, 8)
    local halves = { range:range(0, 4):le_uint(), range:range(4, 4):le_uint() }
    for number = 0, 63 do
        if has(halves[number < 32 and 1 or 2], bit.lshift(1, number % 32)) then
            item:add(f.feature, range, features[number] or (number >= 56 and "junk" or "unknown") .. " " .. number)
        end
    end
end

local function add_frame_bytes(r)
    local value = r:add("maximum_frame_bytes", 4)
    demand(value >= 4096 and value <= 67108864, "maximumFrameBytes " .. value)
end

local function read_hello(r)
    local low = r:add("minimum_version", 1)
    demand(low >= 1 and low <= r:add("maximum_version", 1), "versions")
    r:zero(2)
    add_frame_bytes(r)
    add_features(r, "required_features")
    add_features(r, "optional_features")
    demand(r:add("credential_kind", 2) <= 1, "credentialKind")
    local secret = r:limited("credential_bytes", 2, 1024)
    local name = r:limited("text_bytes", 2, 4096)
    r:zero(2)
    if secret > 0 then r.tree:add(f.credential, r:range(secret, "credential")) end
    r:text("client_name", name)
end

local function read_hello_answer(r)
    local version = r:add("version", 1)
    demand(version == 1, "version " .. version, "unsupportedVersion")
    r:zero(3)
    add_frame_bytes(r)
    add_features(r, "active_features")
    add_features(r, "offered_features")
    r:add("maximum_lookup_ids", 4)
    r:add("maximum_in_flight", 4)
    r:add("idle_milliseconds", 4)
    r:add("default_deadline_milliseconds", 4)
    r:add("generation", 8)
    r:add("as_of_day", 4)
    local name = r:limited("text_bytes", 2, 4096)
    r:zero(2)
    r:text("server_name", name)
end

local function read_ping(r) r:add("ping.token", 8) end

local function read_ping_answer(r)
    r:add("ping.token", 8)
    r:add("generation", 8)
end

local function read_error(r)
    local sizes = {}
    local tree = r.tree:add(patron, r.tvb(r.at, r.stop - r.at), "Error")
    for index = 1, 3 do
        sizes[index] = r:range(2, "an error body"):le_uint()
        if sizes[index] > 4096 then fault("tooManyItems", "an error text of " .. sizes[index] .. " bytes") end
    end
    r:zero(2)
    local at, item = r:add("error.byte_offset", 4, tree)
    if at == 0xFFFFFFFF then item:append_text(" (none)") end
    r:zero(4)
    r:add("error.generation", 8, tree)
    local text = r:text("error.text", sizes[1], tree)
    r:text("error.hint", sizes[2], tree)
    r:text("error.field", sizes[3], tree)
    tree:append_text(": " .. text)
    r.summary = text
end

local function read_goaway(r)
    r:add("grace_milliseconds", 4)
    r:zero(4)
    read_error(r)
end

local function add_options(r, ...)
    local range = r:range(1, "options")
    local item = r.tree:add(f.options, range)
    for _, name in ipairs { ... } do item:add(f[name], range) end
    demand(range:uint() < 2 ^ #{ ... }, "an unassigned option", "nonzeroReserved")
    return range:uint()
end

local function add_id_kind(r)
    local kind = r:add("id_kind", 1)
    demand(kind == 1 or kind == 2, "idKind " .. kind)
    return kind
end

local function add_count(r)
    demand(r:limited("count", 4, 10000) > 0, "count 0")
end

local function read_id(r, kind)
    if kind == 1 then
        r:add("id.integer", 8)
    else
        local size = r:limited("text_bytes", 4, 1024)
        r:text("id.text", size)
    end
end

local function read_columns(r, count)
    local seen = {}
    for _ = 1, count do
        local id = r:add("columns", 2)
        demand(not seen[id], "column " .. id .. " twice", "duplicateColumn")
        seen[id] = true
    end
end

local function read_lookup(r)
    local start = r.at
    local kind = add_id_kind(r)
    add_options(r, "leaves_out_unknown_columns")
    local column_count = r:limited("column_count", 2, 1024)
    local id_count = r:limited("id_count", 4, 65536)
    demand(id_count > 0, "idCount 0")
    read_columns(r, column_count)
    r:zero((start - r.at) % 8)
    r.summary = id_count .. (id_count == 1 and " id, " or " ids, ")
        .. (column_count == 0 and "all" or tostring(column_count)) .. " columns"
    local shown = math.min(id_count, patron.prefs.rows)
    if kind == 1 then
        if r.at + 8 * id_count > r.stop then fault("truncatedBody", "ids") end
        for _ = 1, shown do r:add("id.integer", 8) end
        r:range(8 * (id_count - shown))
    elseif kind == 2 then
        local offsets = r.at
        local texts = offsets + 4 * (id_count + 1)
        if texts > r.stop then fault("truncatedBody", "the offsets of the ids") end
        local size = r.tvb(texts - 4, 4):le_uint()
        local low = r.tvb(offsets, 4):le_uint()
        if low ~= 0 then fault("invalidOffsets", "the first offset is not 0") end
        for index = 1, id_count do
            local high = r.tvb(offsets + 4 * index, 4):le_uint()
            if high < low or high > size then fault("invalidOffsets", "offset " .. index) end
            if index <= shown then
                r.at = texts + low
                r:text("id.text", high - low)
            end
            low = high
        end
        r.at = texts
        r:range(size, "the bytes of the ids")
    else
        fault("valueOutOfRange", "idKind " .. kind)
    end
end

local function read_top(r)
    local kind = add_id_kind(r)
    add_options(r, "excludes_purchased")
    r:zero(2)
    add_count(r)
    read_id(r, kind)
end

local function read_similar(r)
    local kind = add_id_kind(r)
    local subject = r:add("subject", 1)
    demand(subject == 1 or subject == 2, "subject " .. subject)
    r:zero(2)
    add_count(r)
    read_id(r, kind)
end

local function add_rank(r, names)
    local value, item = r:add("rank", 1)
    item:append_text(" (" .. (names[value] or "unknown") .. ")")
    demand(names[value], "rank " .. value)
end

local function read_offer_products(r)
    local kind = add_id_kind(r)
    local options = add_options(r, "excludes_purchased", "only_purchased", "includes_out_of_stock")
    demand(bit.band(options, 3) ~= 3, "left out and alone wanted")
    demand(r:add("offer", 1) <= 2, "offer")
    add_rank(r, { [0] = "affinity", "margin" })
    add_count(r)
    local low, high = r:add("lowest_price", 8):le_int64(), r:add("highest_price", 8):le_int64()
    demand(low >= Int64(0), "lowestPrice below 0")
    demand(high == Int64(0) or high >= low, "highestPrice below lowestPrice")
    local ratio = r:add("largest_ratio_percent", 2)
    demand(ratio == 0 or ratio > 100, "largestRatio " .. ratio)
    local categories = r:limited("category_count", 2, 1024)
    local bought = r:limited("bought_since_count", 2, 1024)
    r:zero(2)
    read_id(r, kind)
    for _ = 1, categories do r:text("categories", r:range(2, "categories"):le_uint()) end
    for _ = 1, bought do r:text("bought_since", r:range(2, "products bought since"):le_uint()) end
end

local function read_offer_customers(r)
    local kind = add_id_kind(r)
    add_options(r, "excludes_purchased", "is_promoted")
    add_rank(r, { [0] = "affinity", "probability" })
    r:zero(1)
    add_count(r)
    read_id(r, kind)
end

local function read_segments(r)
    local size = r:limited("text_bytes", 2, 4096)
    r:zero(2)
    r.summary = r:text("segmentation", size)
end

local function read_count(r)
    local size = r:limited("text_bytes", 4, 65536)
    demand(size > 0, "no rule")
    r:zero(4)
    r.summary = r:text("rule", size)
end

local function add_credit(r, least)
    local value = r:add("credit", 4)
    demand(value >= least and value <= 16777216, "credit " .. value)
end

local function read_stream(r, opcode)
    add_credit(r, 262144)
    local column_count = r:limited("column_count", 2, 1024)
    r:zero(2)
    local token = r:range(32, "resume token")
    if token:raw():find("[^%z]") then r.tree:add(f.resume_token, token) end
    local size = r:limited("text_bytes", 4, opcode == 0x32 and 0 or 65536)
    demand(size > 0 or opcode == 0x32, "no rule")
    r:zero(4)
    read_columns(r, column_count)
    if size > 0 then r.summary = r:text("rule", size) end
end

local function read_credit(r)
    add_credit(r, 1)
    r:zero(4)
end

local function read_nothing() end

-- Of the opcodes of requests that may name the snapshot that answers.
local labelled = {
    [0x10] = true, [0x20] = true, [0x22] = true, [0x23] = true, [0x24] = true, [0x26] = true, [0x27] = true,
    [0x21] = true, [0x25] = true, [0x28] = true, [0x29] = true, [0x30] = true, [0x31] = true, [0x32] = true,
}

-- What MODELS and SHADOW have in common: action, whether there is a label, the number at 4, whether a
-- generation is named.
local function read_labelled_action(r, number_field)
    local action = r:add("action", 1)
    demand(action <= 2, "action " .. action)
    local size = r:limited("label_bytes", 1, 64)
    r:zero(2)
    local number = 0
    if number_field then number = r:add(number_field, 4) else r:zero(4) end
    local generation = r:add("generation", 8):le_uint64()
    if size > 0 then r.summary = r:text("label", size) end
    return action, size > 0, number, generation ~= UInt64(0)
end

local function read_models(r)
    local action, has_label, _, has_generation = read_labelled_action(r, nil)
    if action == 0 and has_label then fault("tooManyItems", "a list of one label") end
    demand(action == 0 or has_label, "no label")
    if action == 1 then
        demand(has_generation, "generation 0")
    else
        demand(not has_generation, "a generation where none belongs", "nonzeroReserved")
    end
end

local function read_shadow(r)
    local action, has_label, share, has_generation = read_labelled_action(r, "parts_per_million")
    if action ~= 1 then
        if has_label then fault("tooManyItems", "a label where none belongs") end
        demand(share == 0 and not has_generation, "a candidate where none belongs", "nonzeroReserved")
        return
    end
    demand(share >= 1 and share <= 1000000, "partsPerMillion " .. share)
    demand(not (has_label and has_generation), "a label and a generation", "nonzeroReserved")
    demand(has_label or has_generation, "no candidate")
end

local function read_publish(r) r:add("generation", 8) end

local function read_drain_answer(r)
    r:add("grace_milliseconds", 4)
    r:zero(4)
end

local function read_progress(r)
    local done, total = r:add("done", 8):le_uint64(), r:add("total", 8):le_uint64()
    r:add("unit", 1)
    r:zero(7)
    r.summary = tostring(done) .. " of " .. tostring(total)
end

-- Section 8: stamp and table

local function read_stamp(r)
    local start = r.at
    local size = r:range(4, "stampBytes"):le_uint()
    if size < 64 or size % 64 ~= 0 then fault("valueOutOfRange", "stampBytes " .. size) end
    if start + size > r.stop then fault("truncatedBody", "a stamp of " .. size .. " bytes") end
    local tree = r.tree:add(patron, r.tvb(start, size), "Stamp")
    tree:add_le(f["stamp.bytes"], r.tvb(start, 4))
    local s = reader(r.tvb, start + 4, start + size, tree)
    s:add("stamp.as_of_day", 4)
    local generation = s:add("stamp.generation", 8):le_uint64()
    local count = s:limited("stamp.model_count", 2, 64)
    s:zero(6)
    local currency = s.tvb(s.at, 8):raw():match("^[^%z]*")
    s:text("stamp.currency", #currency)
    s:zero(8 - #currency)
    for _ = 1, count do
        local model = tree:add(patron, s.tvb(s.at, 0), "Model")
        s:add("model.version", 4, model)
        s:add("model.checksum", 4, model)
        local bytes = s:range(2):le_uint()
        if bytes > 4096 then fault("tooManyItems", "a model name of " .. bytes .. " bytes") end
        s:zero(2)
        model:append_text(" " .. s:text("model.name", bytes, model))
    end
    s:zero(s.stop - s.at)
    tree:append_text(": generation " .. tostring(generation) .. ", " .. currency)
    r.at = start + size
end

local lane_sizes = { 4, 8, 4, 8, 4 }

local function add_cell(info, tree, kind, range, row)
    local item
    if kind == 3 or kind == 4 then
        local value = range:le_float()
        demand(value == value and math.abs(value) ~= math.huge, "row " .. row, "notFinite")
    end
    if kind == 1 then
        local value = range:le_int()
        demand(info.id ~= 0xF020 or (value >= 0 and value <= 0xFFFF), "columnID " .. value)
        item = tree:add(f["cell.integer"], range, Int64(range:le_int()))
    elseif kind == 2 then
        item = tree:add_le(f["cell.integer"], range)
    else
        item = tree:add(f["cell.real"], range, range:le_float())
    end
    item:prepend_text("[" .. row .. "] ")
end

-- A buffer of a column, which has to lie behind the directory; at and size count from the body.
local function buffer(table_info, at, size, what)
    if at % 64 ~= 0 then fault("misalignedBuffer", what .. " at " .. at) end
    local body = table_info.body
    if body + at < table_info.directory_end or body + at + size > table_info.stop then
        fault("bufferOutsideBody", what .. " at " .. at .. " of " .. size .. " bytes")
    end
    table_info.furthest = math.max(table_info.furthest, body + at + size)
    if size == 0 then return nil end
    return table_info.tvb(body + at, size)
end

local function read_plain(info, tree, kind, has_bitmap, place)
    local rows, numbers = info.rows, {}
    for index = 0, 4 do numbers[index] = info.tvb(place + 8 + 4 * index, 4):le_uint() end
    local lane = lane_sizes[kind]
    local expected = (kind == 5 and rows + 1 or rows) * lane
    if numbers[2] ~= expected then fault("valueOutOfRange", "valuesBytes " .. numbers[2]) end
    local values = buffer(info, numbers[1], numbers[2], "values")
    local bitmap, texts
    if has_bitmap then
        bitmap = buffer(info, numbers[0], math.floor((rows + 7) / 8), "the bitmap")
        local past = rows % 8
        if bitmap and past ~= 0 and bit.rshift(bitmap(bitmap:len() - 1, 1):uint(), past) ~= 0 then
            fault("nonzeroReserved", "bits past the last row")
        end
    elseif numbers[0] ~= 0 then
        fault("nonzeroReserved", "validityOffset without a bitmap")
    end
    if kind == 5 then texts = buffer(info, numbers[3], numbers[4], "text") end
    for row = 0, math.min(rows, info.shown) - 1 do
        local missing = bitmap and not has(bitmap(math.floor(row / 8), 1):uint(), bit.lshift(1, row % 8))
        local low, high
        if kind == 5 then
            low, high = values(row * 4, 4):le_uint(), values(row * 4 + 4, 4):le_uint()
            if (row == 0 and low ~= 0) or low > high or high > numbers[4] then
                fault("invalidOffsets", "the offsets of row " .. row)
            end
        end
        if missing then
            -- For who needs a value in every row.
            info.seen[info.id] = 0
            tree:add(f["cell.missing"], bitmap(math.floor(row / 8), 1)):set_text("[" .. row .. "] no value")
        elseif kind ~= 5 then
            add_cell(info, tree, kind, values(row * lane, lane), row)
        elseif low ~= high and not is_text(texts(low, high - low):raw()) then
            fault("invalidText", "row " .. row .. " is not UTF-8")
        elseif low == high then
            tree:add(f["cell.text"], values(row * 4, 4), ""):prepend_text("[" .. row .. "] ")
        else
            tree:add_packet_field(f["cell.text"], texts(low, high - low), ENC_UTF_8 + ENC_STRING)
                :prepend_text("[" .. row .. "] ")
        end
    end
end

local function read_column(info, tree, place)
    local tvb = info.tvb
    local range = tvb(place, info.stride)
    local id, kind, encoding, flags = range(0, 2):le_uint(), range(2, 1):uint(), range(3, 1):uint(), range(4, 1):uint()
    local column = tree:add(patron, range, "Column " .. (columns[id] or id))
    column:add_le(f["column.id"], range(0, 2))
    column:add(f["column.type"], range(2, 1))
    column:add(f["column.encoding"], range(3, 1))
    local item = column:add(f["column.flags"], range(4, 1))
    for _, name in ipairs { "has_bitmap", "all_missing", "skippable" } do
        item:add(f["column." .. name], range(4, 1))
    end
    if info.seen[id] then fault("duplicateColumn", "column " .. id) end
    info.seen[id], info.kinds[id] = kind, kind
    info.id = id
    reader(tvb, place + 5, place + 8, column):zero(3)
    if info.stride > 32 then column:add(f["column.excess"], range(32, info.stride - 32)) end
    if has(flags, 8) then fault("unsupportedEncoding", "a critical column flag") end
    if encoding ~= 1 then
        for index, name in ipairs { "validity_offset", "values_offset", "values_bytes", "text_offset", "text_bytes" } do
            column:add_le(f["column." .. name], range(4 + 4 * index, 4))
        end
    end
    if not lane_sizes[kind] or encoding > 1 then
        if not has(flags, 4) then
            fault(lane_sizes[kind] and "unsupportedEncoding" or "unsupportedType",
                "type " .. kind .. ", encoding " .. encoding)
        end
        if encoding ~= 1 then
            buffer(info, range(12, 4):le_uint(), range(16, 4):le_uint(), "values")
            if range(24, 4):le_uint() > 0 then buffer(info, range(20, 4):le_uint(), range(24, 4):le_uint(), "text") end
        end
        column:append_text(" (skipped)")
    elseif encoding == 0 then
        if has(flags, 2) then fault("unsupportedEncoding", "a plain column with bit 1") end
        reader(tvb, place + 28, place + 32, column):zero(4)
        read_plain(info, column, kind, has(flags, 1), place)
    else
        if has(flags, 1) or (kind == 5 and not has(flags, 2)) then
            fault("unsupportedEncoding", "a constant column with these flags")
        end
        local used = has(flags, 2) and 0 or lane_sizes[kind]
        reader(tvb, place + 8 + used, place + 32, column):zero(24 - used)
        for row = 0, math.min(info.rows, info.shown) - 1 do
            if used == 0 then
                info.seen[id] = 0
                column:add(f["cell.missing"], range(8, 8)):set_text("[" .. row .. "] no value")
            else
                add_cell(info, column, kind, range(8, used), row)
            end
        end
    end
end

local function read_table(r)
    local start, body = r.at, r.start
    local head = reader(r.tvb, start, r.stop, r.tree:add(patron, r.tvb(start, r.stop - start), "Table"))
    local info = { tvb = r.tvb, body = body, stop = r.stop, seen = {}, kinds = {}, shown = patron.prefs.rows }
    info.rows = head:limited("table.row_count", 4, 1048576)
    local count = head:limited("table.column_count", 2, 1024)
    info.stride = head:add("table.descriptor_bytes", 2)
    if info.stride < 32 or info.stride % 8 ~= 0 then fault("valueOutOfRange", "descriptorBytes " .. info.stride) end
    head:add("table.subject_status", 1)
    head:zero(7)
    info.directory_end = start + 16 + count * info.stride
    if info.directory_end > r.stop then fault("truncatedBody", "the directory") end
    info.furthest = info.directory_end
    -- What 65,536 rows of 1,024 columns would take is nobody's to read in a tree.
    info.shown = math.min(info.shown, math.floor(100000 / math.max(1, count)))
    head.tree:append_text(": " .. info.rows .. " rows, " .. count .. " columns")
    for index = 0, count - 1 do read_column(info, head.tree, start + 16 + index * info.stride) end
    if info.rows > info.shown then head.tree:append_text(", the first " .. info.shown .. " shown") end
    r.at = info.furthest
    r.summary = info.rows .. " rows, " .. count .. " columns"
    -- Types by id, 0 where a row has no value; types whatever the rows have.
    return info.seen, info.kinds
end

local function read_stamped_table(r)
    read_stamp(r)
    read_table(r)
end

local function read_describe_answer(r)
    read_stamp(r)
    r:add("customer_count", 8)
    r:add("product_count", 8)
    demand(r:add("customer_id_kind", 1) <= 2, "customerIDKind")
    demand(r:add("product_id_kind", 1) <= 2, "productIDKind")
    r:add("affinity.variant", 1)
    r:zero(1)
    r:add("affinity.offers", 4)
    r:zero(40)
    local kinds = read_table(r)
    for id, kind in pairs { [0xF020] = 1, [0xF021] = 5, [0xF022] = 1, [0xF023] = 5, [0xF024] = 5 } do
        demand(kinds[id] == kind, columns[id] .. " is absent, of another type or has a gap", "unknownColumn")
    end
end

local function read_count_answer(r)
    read_stamp(r)
    local matching = r:add("matching_customers", 8):le_uint64()
    r:add("customer_count", 8)
    r:zero(48)
    r.summary = tostring(matching) .. " customers"
end

local function read_chunk(r)
    read_stamp(r)
    r:add("scanned_customers", 8)
    r:add("resume_token", 32)
    r:zero(24)
    read_table(r)
end

-- The types that each column of lines may have; 0 stands for one with gaps.
local line_types = { [0xF002] = { 2, 5 }, [0xF080] = { 1 }, [0xF085] = { 3 } }
for id = 0xF081, 0xF084 do line_types[id] = { 2 } end
for id = 0xF086, 0xF08A do line_types[id] = { 5 } end

local function read_append(r)
    demand(r:add("decimals", 1) <= 4, "decimals")
    r:zero(3)
    if r.at + 8 > r.stop then fault("truncatedBody", "currency") end
    local currency = r.tvb(r.at, 8):raw():match("^[^%z]*")
    demand(#currency > 0, "no currency")
    r:text("currency", #currency)
    r:zero(8 - #currency)
    r:zero(52)
    if r.at + 16 > r.stop then fault("truncatedBody", "lines") end
    local lines = r.tvb(r.at, 4):le_uint()
    demand(lines > 0, "no lines")
    if lines > 65536 then fault("tooManyItems", lines .. " lines") end
    demand(r.tvb(r.at + 8, 1):uint() == 0, "a subject status", "nonzeroReserved")
    local kinds = read_table(r)
    for id, kind in pairs(kinds) do
        local types = line_types[id] or {}
        demand(types[1] and (kind == 0 or kind == types[1] or kind == types[2]),
            "column " .. (columns[id] or id) .. " is none of lines, or of another type", "unknownColumn")
    end
    demand(kinds[0xF002] and kinds[0xF082] and (kinds[0xF080] or kinds[0xF081]),
        "a column that every line has is absent", "unknownColumn")
    demand(not (kinds[0xF080] and kinds[0xF081]), "lineDay and lineTime", "duplicateColumn")
    r.summary = lines .. " lines"
end

local function read_append_answer(r)
    read_stamp(r)
    r:add("sequence", 8)
    local accepted = r:add("accepted_lines", 4)
    local refused = r:add("refused_lines", 4)
    demand(r:add("is_repeat", 1) <= 1, "isRepeat")
    r:zero(47)
    read_table(r)
    r.summary = accepted .. " lines taken, " .. refused .. " refused"
end

local function read_erase(r)
    if r.at + 4 > r.stop then fault("truncatedBody", "idKind") end
    local kind = r.tvb(r.at, 1):uint()
    demand(kind == 1 or kind == 2, "idKind " .. kind)
    demand(r.tvb(r.at + 1, 3):uint() == 0, "a reserved byte", "nonzeroReserved")
    -- The rest is what a LOOKUP without columns has.
    read_lookup(r)
    r.summary = r.summary:match("^[^,]*")
end

local function read_erase_answer(r)
    read_stamp(r)
    r:add("sequence", 8)
    r:add("erased_at", 8)
    demand(r:add("is_repeat", 1) <= 1, "isRepeat")
    r:zero(47)
    read_table(r)
end

local function read_publish_answer(r)
    read_stamp(r)
    r:add("previous_generation", 8)
    r:add("verified_byte_count", 8)
    r:zero(48)
end

local function read_shadow_answer(r)
    read_stamp(r)
    read_stamp(r)
    r:add("state", 4)
    r:add("parts_per_million", 4)
    for _, name in ipairs {
        "sampled_count", "compared_count", "only_in_current_count", "only_in_candidate_count", "dropped_count",
        "elapsed_milliseconds",
    } do
        r:add(name, 8)
    end
    r:zero(8)
    read_table(r)
end

local function read_score(r)
    local start = r.at
    local column_count = r:limited("column_count", 2, 1024)
    local attribute_count = r:limited("attribute_count", 2, 1024)
    r:zero(4)
    read_columns(r, column_count)
    local seen = {}
    for _ = 1, attribute_count do
        local name = r:text("attributes", r:range(2, "attributes"):le_uint())
        demand(name ~= "" and not seen[name], "an attribute without a name, or of a name that another has")
        seen[name] = true
    end
    r:zero((start - r.at) % 64)
    local rows = r.stop - r.at >= 4 and r.tvb(r.at, 4):le_uint() or 0
    if rows > 65536 then fault("tooManyItems", "rowCount " .. rows) end
    local _, kinds = read_table(r)
    demand(rows > 0, "rowCount 0")
    for id = 1, 3 do
        demand(kinds[id] == 1, columns[id] .. " is absent or of another type", "unknownColumn")
    end
    for id = 5, 6 do
        demand((kinds[id] or 4) == 4, columns[id] .. " is of another type", "unknownColumn")
    end
    for index = 0, attribute_count - 1 do
        demand(kinds[64 + index], "attribute " .. index .. " has no column", "unknownColumn")
    end
end

local function read_explain(r)
    local kind = add_id_kind(r)
    r:zero(1)
    local size = r:limited("text_bytes", 2, 4096)
    demand(size > 0, "nameBytes 0")
    r:zero(4)
    read_id(r, kind)
    r.summary = r:text("segmentation", size)
end

local function read_explain_answer(r)
    read_stamp(r)
    local known = r.tvb(r.at + 24, 4):le_uint()
    local function add(name, size, mask)
        if has(known, mask) then return r:add(name, size) end
        r:zero(size)
        return nil
    end
    demand(known < 8, "unknown facts", "nonzeroReserved")
    r:add("segment", 4)
    add("next_segment", 4, 2)
    for _, pair in ipairs { { "distance", 1 }, { "next_distance", 4 } } do
        local range = add(pair[1], 8, pair[2])
        if range then
            local value = range:le_float()
            demand(value >= 0 and value < math.huge, pair[1] .. " " .. value)
        end
    end
    r:range(4)
    r:add("model_version", 4)
    r:zero(32)
    read_table(r)
end

local requests = {
    [0x50] = read_models, [0x51] = read_nothing, [0x52] = read_publish, [0x53] = read_nothing,
    [0x54] = read_nothing, [0x55] = read_shadow,
    [0x21] = read_score, [0x25] = read_explain,
    [0x01] = read_hello, [0x02] = read_ping, [0x04] = read_credit, [0x05] = read_nothing, [0x10] = read_nothing,
    [0x20] = read_lookup, [0x22] = read_top, [0x23] = read_top, [0x24] = read_similar, [0x26] = read_segments,
    [0x27] = read_segments, [0x28] = read_offer_products, [0x29] = read_offer_customers, [0x30] = read_count,
    [0x31] = read_stream, [0x32] = read_stream, [0x40] = read_append, [0x41] = read_erase,
}
local answers = {
    [0x06] = read_progress, [0x50] = read_stamped_table, [0x51] = read_stamped_table, [0x52] = read_publish_answer,
    [0x53] = read_stamped_table, [0x54] = read_drain_answer, [0x55] = read_shadow_answer,
    [0x21] = read_stamped_table, [0x25] = read_explain_answer,
    [0x01] = read_hello_answer, [0x02] = read_ping_answer, [0x10] = read_describe_answer, [0x20] = read_stamped_table,
    [0x22] = read_stamped_table, [0x23] = read_stamped_table, [0x24] = read_stamped_table, [0x26] = read_stamped_table,
    [0x27] = read_stamped_table, [0x28] = read_stamped_table, [0x29] = read_stamped_table, [0x30] = read_count_answer,
    [0x31] = read_chunk, [0x32] = read_chunk, [0x40] = read_append_answer,
    [0x41] = read_erase_answer,
}

-- Requests and their answers

local stream_number = Field.new("tcp.stream")
-- Of each TCP stream the open requests by id; of each frame what was found on the first pass.
local open_requests, found = {}, {}

function patron.init() open_requests, found = {}, {} end

local function pair(pinfo, tree, opcode, is_answer, request_id, more)
    local number = stream_number()
    if not number or opcode == 3 then return end
    local key = pinfo.number .. ":" .. opcode .. ":" .. request_id .. ":" .. tostring(is_answer)
    local stream = number.value
    if not pinfo.visited and not found[key] then
        local open = open_requests[stream] or {}
        open_requests[stream] = open
        if is_answer then
            local request = open[request_id]
            if opcode == 6 then
                found[key] = request
            elseif request and request.opcode == opcode then
                request.answer = request.answer or pinfo.number
                found[key] = request
                if not more then open[request_id] = nil end
            end
        elseif opcode == 4 or opcode == 5 then
            found[key] = open[request_id]
        else
            found[key] = { opcode = opcode, frame = pinfo.number, time = pinfo.abs_ts }
            open[request_id] = found[key]
        end
    end
    local request = found[key]
    if not request then return end
    if is_answer then
        tree:add(f.request_in, request.frame):set_generated()
        local seconds = pinfo.abs_ts - request.time
        if seconds >= 0 then
            local whole = math.floor(seconds)
            tree:add(f.time, NSTime(whole, math.floor((seconds - whole) * 1e9))):set_generated()
        end
    elseif opcode == 4 or opcode == 5 then
        tree:add(f.request_in, request.frame):set_generated()
    elseif request.answer then
        tree:add(f.response_in, request.answer):set_generated()
    end
end

-- Frames

local function status_name(status)
    return statuses[status] or "status " .. status .. " of class "
        .. (status_classes[math.floor(status / 100)] or "internalError")
end

local function read_body(r, opcode, is_answer, status)
    if is_answer and opcode == 3 then
        read_goaway(r)
    elseif is_answer and status ~= 0 then
        read_error(r)
    else
        local read = (is_answer and answers or requests)[opcode]
        if not read then
            if r.stop > r.at then r.tree:add(f.body_bytes, r.tvb(r.at, r.stop - r.at)) end
            r.tree:add_proto_expert_info(experts.unsupported, "an unknown opcode (unsupportedOperation)")
            return
        end
        read(r, opcode)
    end
    r:finish()
end

local function add_bad_frame(tvb, pinfo, tree, info, text)
    local item = tree:add(patron, tvb(), "Patron, not a frame")
    item:add_proto_expert_info(info, text)
    pinfo.cols.info = text
    return tvb:len()
end

-- Whether what begins at `at` can be a frame; otherwise which fault it is and in which words.
local function header_fault(tvb, at)
    if tvb:len() - at < 32 then return nil end
    if tvb(at + 4, 2):uint() ~= 0xD750 then return "bad_magic", "badMagic: not this protocol" end
    if patron.prefs.checksums and bit.tobit(tvb(at + 28, 4):le_uint()) ~= bit.tobit(crc32c(tvb(at, 28):raw())) then
        return "header_checksum", "headerChecksumMismatch"
    end
    local length, words = tvb(at, 4):le_uint(), tvb(at + 7, 1):uint()
    if tvb(at + 6, 1):uint() ~= 1 then return "bad_header", "unsupportedVersion " .. tvb(at + 6, 1):uint() end
    if length < 28 then return "bad_header", "frameTooSmall: length " .. length end
    if length > 67108864 then return "bad_header", "frameTooLarge: length " .. length end
    if words < 8 or words * 4 > length + 4 then return "bad_header", "badHeaderSize: " .. words .. " words" end
    return nil
end

local function frame_size(tvb, pinfo, at)
    -- What follows a header that cannot be trusted is no frame either.
    if header_fault(tvb, at) then return tvb:len() - at end
    return 4 + tvb(at, 4):le_uint()
end

local function dissect_frame(tvb, pinfo, tree)
    pinfo.cols.protocol = "PATRON"
    local fault_name, fault_text = header_fault(tvb, 0)
    if fault_name == "bad_magic" or tvb:len() < 32 then
        return add_bad_frame(tvb, pinfo, tree, experts.bad_magic, fault_text or "shorter than a header")
    end
    local opcode_field, flags = tvb(8, 2):le_uint(), tvb(10, 2):le_uint()
    local opcode, is_answer = bit.band(opcode_field, 0x7FFF), has(opcode_field, 0x8000)
    local request_id, aux = tvb(12, 4):le_uint(), tvb(20, 4):le_uint()
    local name = opcodes[opcode] or string.format("opcode 0x%04x", opcode)
    local top = tree:add(patron, tvb(), "Patron, " .. name .. (is_answer and " answer" or "") .. " " .. request_id)
    local header = top:add(patron, tvb(0, 32), "Header")
    header:add_le(f.length, tvb(0, 4))
    header:add_le(f.magic, tvb(4, 2))
    header:add(f.version, tvb(6, 1))
    header:add(f.header_words, tvb(7, 1))
    header:add_le(f.opcode, tvb(8, 2))
    header:add_le(f.is_answer, tvb(8, 2))
    local flags_item = header:add_le(f.flags, tvb(10, 2))
    for _, flag in pairs(flag_names) do
        flags_item:add_le(f["flag." .. flag:lower()], tvb(10, 2))
        if has(flags, bit.lshift(1, _)) then flags_item:append_text(" " .. flag) end
    end
    flags_item:add_le(f["flag.unknown_critical"], tvb(10, 2))
    flags_item:add_le(f["flag.unknown_optional"], tvb(10, 2))
    header:add_le(f.request_id, tvb(12, 4))
    header:add_le(f.raw_length, tvb(16, 4))
    local result = name
    if is_answer then
        local item = header:add_le(f.status, tvb(20, 4))
        header:add(f.status_class, tvb(20, 4), math.floor(aux / 100)):set_generated()
        if aux ~= 0 then
            item:add_proto_expert_info(experts.refused, status_name(aux))
            result = result .. " " .. status_name(aux)
        else
            result = result .. " answer"
        end
    else
        header:add_le(f.deadline_milliseconds, tvb(20, 4))
    end
    local body_crc_item = header:add_le(f.body_crc, tvb(24, 4))
    local header_crc_item = header:add_le(f.header_crc, tvb(28, 4))
    result = result .. " " .. request_id
    if fault_name then
        (fault_name == "header_checksum" and header_crc_item or header)
            :add_proto_expert_info(experts[fault_name], fault_text)
        pinfo.cols.info:append((tostring(pinfo.cols.info) == "" and "" or ", ") .. result .. ": " .. fault_text)
        return tvb:len()
    end
    if patron.prefs.checksums
        and bit.tobit(tvb(24, 4):le_uint()) ~= bit.tobit(crc32c(tvb:len() > 32 and tvb(32):raw() or "")) then
        body_crc_item:add_proto_expert_info(experts.body_checksum, "bodyChecksumMismatch")
    end
    if has(flags, 0xF8) then
        flags_item:add_proto_expert_info(experts.unsupported, "unknown critical flags (unsupportedFlag)")
    end
    if has(flags, 2) and not (is_answer and (opcode == 0x31 or opcode == 0x32)) then
        flags_item:add_proto_expert_info(experts.unsupported, "MORE does not belong here (unsupportedFlag)")
    end
    if ((opcode == 3 or opcode == 6) and not is_answer) or (is_answer and (opcode == 4 or opcode == 5)) then
        header:add_proto_expert_info(experts.malformed, "wrongDirection")
    end
    pair(pinfo, top, opcode, is_answer, request_id, has(flags, 2))

    local at = tvb(7, 1):uint() * 4
    if at > 32 then top:add(f.header_excess, tvb(32, at - 32)) end
    local r
    local fine, problem = pcall(function()
        r = reader(tvb, at, tvb:len(), top)
        if has(flags, 4) then read_meta(r, not is_answer and labelled[opcode]) end
        local body_start = r.at
        local size = r.stop - body_start
        if has(flags, 1) then
            -- Whether it was agreed on is not known where the capture does not begin with HELLO.
            local raw_length = tvb(16, 4):le_uint()
            if size > 0 then top:add(f.body_bytes, tvb(body_start, size)) end
            if raw_length > 67108864 then fault("overBudget", "rawLength " .. raw_length) end
            if raw_length == 0 or raw_length > 255 * size + 64 then
                fault("invalidBlock", "rawLength " .. raw_length .. " of a block of " .. size .. " bytes")
            end
            local plain = ByteArray.new(decompress(tvb(body_start, size):raw(), raw_length), true):tvb("Body")
            r = reader(plain, 0, raw_length, top:add(patron, plain(), "Body"))
            read_body(r, opcode, is_answer, aux)
            return
        end
        if tvb(16, 4):le_uint() ~= size then fault("rawLengthMismatch", "rawLength of " .. size .. " bytes") end
        local tree_of_body = size > 0 and top:add(patron, tvb(body_start, size), "Body") or top
        r = reader(tvb, body_start, r.stop, tree_of_body)
        read_body(r, opcode, is_answer, aux)
    end)
    if not fine then
        local text = type(problem) == "table" and problem.fault .. ": " .. problem.text or tostring(problem)
        top:add_proto_expert_info(experts.malformed, text)
        result = result .. " [" .. text .. "]"
    elseif r and r.summary and r.summary ~= "" then
        top:append_text(": " .. r.summary)
        result = result .. ": " .. r.summary
    end
    pinfo.cols.info:append((tostring(pinfo.cols.info) == "" and "" or ", ") .. result)
    return tvb:len()
end

function patron.dissector(tvb, pinfo, tree)
    pinfo.cols.protocol = "PATRON"
    pinfo.cols.info = ""
    dissect_tcp_pdus(tvb, tree, 32, frame_size, dissect_frame)
    return tvb:len()
end

-- Which streams are taken

local function looks_like_a_frame(tvb)
    return tvb:len() >= 32 and tvb(4, 2):uint() == 0xD750 and tvb(6, 1):uint() == 1 and tvb(7, 1):uint() >= 8
        and bit.tobit(tvb(28, 4):le_uint()) == bit.tobit(crc32c(tvb(0, 28):raw()))
end

local function heuristic(tvb, pinfo, tree)
    if not looks_like_a_frame(tvb) then return false end
    pinfo.conversation = patron
    local size = 4 + tvb(0, 4):le_uint()
    if tvb:len() < size then
        pinfo.desegment_offset, pinfo.desegment_len = 0, size - tvb:len()
        return true
    end
    patron.dissector(tvb, pinfo, tree)
    return true
end

patron:register_heuristic("tcp", heuristic)

local ports = DissectorTable.get("tcp.port")
local port_taken = 0

local function take_port()
    if port_taken == patron.prefs.port then return end
    if port_taken > 0 then ports:remove(port_taken, patron) end
    port_taken = patron.prefs.port
    if port_taken > 0 then ports:add(port_taken, patron) end
end

take_port()
function patron.prefs_changed() take_port() end
