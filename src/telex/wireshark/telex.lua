-- Wireshark reads Telex, wire format version 1: messages on TCP, and in TLS that it can decrypt.
--
-- The format is described in Telex's docs/wire-format.md, and this file is as strict as that page
-- says a receiver must be. It keeps to what Lua 5.1 to 5.4 have in common, because versions of
-- Wireshark differ in that, and trusts nothing that a captured byte says.

local telex = Proto("telex", "Telex")

local PROTO_HEADER_SIZE = 2
local DEEPEST = 64
local MOST_DIGITS_OF_KNOWN_NUMBERS = 16
local LARGEST_NUMBER = 9007199254740991
local LONGEST_PROBLEM = 65536
local MOST_TO_REASSEMBLE = 0x0f000000  -- what Wireshark could take for DESEGMENT_UNTIL_FIN is above
local LONGEST_SHOWN = 200

telex.prefs.ports = Pref.range("TCP ports", "7766", "Ports on which Telex is spoken", 65535)
telex.prefs.largest = Pref.uint(
    "Largest content to reassemble (MiB)", 64,
    "Of longer content only what is in the segment with its header is shown")

local f = {
    header_length = ProtoField.uint16("telex.header_length", "Length of the header block"),
    header = ProtoField.string("telex.header", "Header block"),
    kind = ProtoField.string("telex.kind", "Kind"),
    subject = ProtoField.string("telex.subject", "Subject"),
    id = ProtoField.uint64("telex.id", "Id"),
    re = ProtoField.uint64("telex.re", "Answers id"),
    timeout = ProtoField.uint64(
        "telex.timeout", "The answer is waited for", base.UNIT_STRING, { " ms" }),
    more = ProtoField.bool("telex.more", "More parts follow"),
    byteorder = ProtoField.string("telex.byteorder", "Byte order"),
    content_type = ProtoField.string("telex.content_type", "Content type"),
    content_encoding = ProtoField.string("telex.content_encoding", "Content encoding"),
    content_length = ProtoField.uint64("telex.content_length", "Content length"),
    header_member = ProtoField.none("telex.header.member", "Header"),
    header_name = ProtoField.string("telex.header.name", "Name"),
    header_value = ProtoField.string("telex.header.value", "Value"),
    content = ProtoField.bytes("telex.content", "Content"),
    text = ProtoField.string("telex.text", "Text"),
    code = ProtoField.string("telex.code", "Code"),
    reason = ProtoField.string("telex.reason", "Reason"),
    request_in = ProtoField.framenum(
        "telex.request_in", "Request in frame", base.NONE, frametype.REQUEST),
    response_in = ProtoField.framenum(
        "telex.response_in", "Answered in frame", base.NONE, frametype.RESPONSE),
    response_time = ProtoField.relative_time("telex.response_time", "Time until this answer"),
}
telex.fields = f

local experts = {
    malformed = ProtoExpert.new(
        "telex.malformed", "Not a message in this format",
        expert.group.MALFORMED, expert.severity.ERROR),
    incomplete = ProtoExpert.new(
        "telex.incomplete", "Not all of the message is here",
        expert.group.REASSEMBLE, expert.severity.WARN),
    refused = ProtoExpert.new(
        "telex.refused", "The peer refuses, or has failed",
        expert.group.RESPONSE_CODE, expert.severity.NOTE),
}
telex.experts = experts

local tcp_stream = Field.new("tcp.stream")
local json_dissector = Dissector.get("json")
local tls_dissector = Dissector.get("tls")


-- JSON, strictly: an object becomes a list of its members, and anything else a problem in words.

local function fail(problem, position)
    error({ problem = problem, position = position })
end

local UTF8_SEQUENCES = {
    "^[\194-\223][\128-\191]",
    "^\224[\160-\191][\128-\191]",
    "^[\225-\236\238\239][\128-\191][\128-\191]",
    "^\237[\128-\159][\128-\191]",
    "^\240[\144-\191][\128-\191][\128-\191]",
    "^[\241-\243][\128-\191][\128-\191][\128-\191]",
    "^\244[\128-\143][\128-\191][\128-\191]",
}

local function end_of_sequence(text, position)
    for _, pattern in ipairs(UTF8_SEQUENCES) do
        local _, last = text:find(pattern, position)
        if last then
            return last
        end
    end
end

local function check_utf8(text)
    local position = text:find("[\128-\255]")
    while position do
        local last = end_of_sequence(text, position)
        if not last then
            fail("the header block is not UTF-8", position)
        end
        position = text:find("[\128-\255]", last + 1)
    end
end

local function utf8_of(code)
    if code < 0x80 then
        return string.char(code)
    end
    local bytes, most = {}, 0x40
    repeat
        table.insert(bytes, 1, string.char(0x80 + code % 0x40))
        code = math.floor(code / 0x40)
        most = math.floor(most / 2)
    until code < most
    return string.char(256 - 2 * most + code) .. table.concat(bytes)
end

local ESCAPES = {
    ['"'] = '"', ["\\"] = "\\", ["/"] = "/",
    b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

-- Return what the escape at a backslash means, and where the text goes on.
local function read_escape(text, position)
    local letter = text:sub(position + 1, position + 1)
    if ESCAPES[letter] then
        return ESCAPES[letter], position + 2
    end
    local digits = text:match("^u(%x%x%x%x)", position + 1)
    if not digits then
        fail("a string holds an escape that JSON does not have", position)
    end
    local code = tonumber(digits, 16)
    if code < 0xD800 or code > 0xDFFF then
        return utf8_of(code), position + 6
    end
    local low = text:match("^\\u([dD][c-fC-F]%x%x)", position + 6)
    if code > 0xDBFF or not low then
        fail("a string holds half of a surrogate pair", position)
    end
    code = 0x10000 + (code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00
    return utf8_of(code), position + 12
end

-- Read the string that begins at a quotation mark: what it says, and where the text goes on.
local function read_string(text, position)
    local pieces, from = {}, position + 1
    while true do
        local stop = text:find('[%z\1-\31"\\]', from)
        if not stop then
            fail("a string does not end", position)
        end
        pieces[#pieces + 1] = text:sub(from, stop - 1)
        local found = text:sub(stop, stop)
        if found == '"' then
            return table.concat(pieces), stop + 1
        elseif found ~= "\\" then
            fail("a string holds a control character", stop)
        end
        pieces[#pieces + 1], from = read_escape(text, stop)
    end
end

-- Read a number: "integer" or "float", and where the text goes on.
local function read_number(text, position)
    local _, last = text:find("^-?%d+", position)
    if not last or text:find("^-?0%d", position) then
        fail("this is no JSON", position)
    end
    local _, fraction = text:find("^%.%d+", last + 1)
    local _, exponent = text:find("^[eE][+-]?%d+", (fraction or last) + 1)
    local whole = exponent or fraction or last
    local number = tonumber(text:sub(position, whole))
    if not number or number == math.huge or number == -math.huge then
        fail("a number is too large for a 64-bit float", position)
    end
    return whole == last and "integer" or "float", whole + 1
end

local function skip_space(text, position)
    return text:find("[^ \t\n\r]", position) or #text + 1
end

local LITERALS = { t = "true", f = "false", n = "null" }
local read_object, read_array

-- Read any value: its type, where the text goes on, and what it says if it is a string.
local function read_value(text, position, depth)
    local first = text:sub(position, position)
    if first == '"' then
        local value, after = read_string(text, position)
        return "string", after, value
    elseif first == "{" then
        local _, after = read_object(text, position, depth + 1)
        return "object", after
    elseif first == "[" then
        return "array", read_array(text, position, depth + 1)
    end
    local literal = LITERALS[first]
    if literal and text:sub(position, position + #literal - 1) == literal then
        return literal, position + #literal
    end
    return read_number(text, position)
end

local function check_depth(depth, position)
    if depth > DEEPEST then
        fail("the header block nests deeper than 64 levels", position)
    end
end

-- Read what stands between two brackets, with a function that reads one item of it.
local function read_items(text, position, closing, read_item)
    position = skip_space(text, position + 1)
    if text:sub(position, position) == closing then
        return position + 1
    end
    while true do
        position = skip_space(text, read_item(position))
        local found = text:sub(position, position)
        if found == closing then
            return position + 1
        elseif found ~= "," then
            fail("this is no JSON", position)
        end
        position = skip_space(text, position + 1)
    end
end

function read_array(text, position, depth)
    check_depth(depth, position)
    return read_items(text, position, "]", function(from)
        local _, after = read_value(text, from, depth)
        return after
    end)
end

function read_object(text, position, depth)
    check_depth(depth, position)
    local members, known = {}, {}
    local after = read_items(text, position, "}", function(from)
        if text:sub(from, from) ~= '"' then
            fail("this is no JSON", from)
        end
        local name, colon = read_string(text, from)
        if known[name] then
            fail("field '" .. name .. "' is there more than once", from)
        end
        known[name] = true
        colon = skip_space(text, colon)
        if text:sub(colon, colon) ~= ":" then
            fail("this is no JSON", colon)
        end
        local first = skip_space(text, colon + 1)
        local kind, behind, value = read_value(text, first, depth)
        members[#members + 1] = {
            name = name, type = kind, text = value or text:sub(first, behind - 1),
            from = from, first = first, last = behind - 1,
        }
        return behind
    end)
    return members, after
end

local function read_only_object(text)
    check_utf8(text)
    local position = skip_space(text, 1)
    if text:sub(position, position) ~= "{" then
        fail("the header block is not an object", position)
    end
    local members, after = read_object(text, position, 1)
    after = skip_space(text, after)
    if after <= #text then
        fail("something stands behind the object", after)
    end
    return members
end

-- Call a function that may fail(): return what it returns, or nil and the problem in words.
local function attempt(action, argument)
    local succeeded, result = pcall(action, argument)
    if succeeded then
        return result
    elseif type(result) ~= "table" then
        error(result, 0)
    elseif result.position then
        return nil, result.problem .. ", at byte " .. result.position - 1 .. " of the header block"
    end
    return nil, result.problem
end


-- Fields of a header block

local function check_string(member)
    return member.type == "string", "a string"
end

local function check_number(least)
    return function(member)
        local number = member.type == "integer" and #member.text <= MOST_DIGITS_OF_KNOWN_NUMBERS
            and tonumber(member.text)
        local fits = number and number >= least and number <= LARGEST_NUMBER
        return fits, "an integer from " .. least .. " to 2^53-1"
    end
end

local function check_byteorder(member)
    local fits = member.type == "string" and (member.text == "little" or member.text == "big")
    return fits, '"little" or "big"'
end

local TOKEN = "[!#$%%&'*+%-.^_`|~0-9A-Za-z]+"
local MEDIA_TYPE = "^" .. TOKEN .. "/" .. TOKEN .. "(.*)$"

local function check_content_type(member)
    local after = member.type == "string" and member.text:match(MEDIA_TYPE)
    return after and (after == "" or after:find("^[ \t]*;")), 'a media type such as "text/plain"'
end

local function check_encoding(member)
    return member.type == "string" and member.text ~= "", 'a charset or "binary"'
end

local function check_more(member)
    return member.type == "true", "true"
end

local KNOWN_FIELDS = {
    { name = "kind", field = f.kind, check = check_string },
    { name = "subject", field = f.subject, check = check_string },
    { name = "id", field = f.id, check = check_number(1), is_number = true },
    { name = "re", field = f.re, check = check_number(1), is_number = true },
    { name = "timeout", field = f.timeout, check = check_number(1), is_number = true },
    { name = "more", field = f.more, check = check_more },
    { name = "byteorder", field = f.byteorder, check = check_byteorder },
    { name = "content-type", field = f.content_type, check = check_content_type },
    { name = "content-encoding", field = f.content_encoding, check = check_encoding },
    { name = "content-length", field = f.content_length, check = check_number(0),
      is_number = true },
}
local FIELD_OF = {}
for _, known in ipairs(KNOWN_FIELDS) do
    FIELD_OF[known.name] = known
end

-- Return the known members by name, and a list of the application's own; fail where one is wrong.
local function sort_members(members)
    local known, own = {}, {}
    for _, member in ipairs(members) do
        local field = FIELD_OF[member.name]
        if field then
            local fits, right = field.check(member)
            if not fits then
                fail("field '" .. member.name .. "' must be " .. right)
            end
            known[member.name] = member
        else
            own[#own + 1] = member
        end
    end
    if not known["content-length"] then
        fail("field 'content-length' is missing")
    end
    return { known = known, own = own }
end

local function read_header(text)
    return sort_members(read_only_object(text))
end

local function value_of(message, name)
    local member = message.fields.known[name]
    return member and member.text
end

local function number_of(message, name)
    return tonumber(value_of(message, name) or "")
end


-- Where messages begin and end

local OPENINGS = { [0x7B] = true, [0x20] = true, [0x09] = true, [0x0A] = true, [0x0D] = true }

-- Return the message that begins at an offset, as far as it is here, and how many bytes it lacks.
local function message_at(tvb, offset)
    local message = { offset = offset, size = tvb:len() - offset }
    if message.size < PROTO_HEADER_SIZE then
        return message, DESEGMENT_ONE_MORE_SEGMENT
    end
    local length = tvb(offset, PROTO_HEADER_SIZE):uint()
    message.header_length = length
    if length < 2 then
        message.problem = "no message begins here: its header block would be of " .. length
            .. " bytes"
        return message, 0
    end
    message.content_offset = offset + PROTO_HEADER_SIZE + length
    -- One byte more is enough to tell what is no header block, and to wait for no more of it.
    if message.size == PROTO_HEADER_SIZE then
        return message, DESEGMENT_ONE_MORE_SEGMENT
    end
    if not OPENINGS[tvb(offset + PROTO_HEADER_SIZE, 1):uint()] then
        message.problem = "no message begins here: its header block would not begin with {"
        return message, 0
    end
    if message.size < PROTO_HEADER_SIZE + length then
        return message, PROTO_HEADER_SIZE + length - message.size
    end
    message.header = tvb:raw(offset + PROTO_HEADER_SIZE, length)
    message.fields, message.problem = attempt(read_header, message.header)
    if message.problem then
        return message, 0
    end
    message.content_length = number_of(message, "content-length")
    local missing = PROTO_HEADER_SIZE + length + message.content_length - message.size
    if missing <= 0 then
        message.size = message.size + missing
    end
    return message, math.max(missing, 0)
end


-- What is written of a message

-- Make text safe to stand in a line: what could drive a terminal becomes visible.
local function printable(text)
    text = text:gsub("[%z\1-\31\127]", function(character)
        return string.format("\\x%02x", character:byte())
    end)
    text = text:gsub("\194([\128-\159])", function(character)
        return string.format("\\x%02x", character:byte())
    end)
    text = text:gsub("\226\128[\142\143\168-\174]", "?"):gsub("\226\129[\166-\169]", "?")
    if #text <= LONGEST_SHOWN then
        return text
    end
    return text:sub(1, LONGEST_SHOWN):gsub("[\192-\255]?[\128-\191]*$", "") .. "..."
end

-- A field that holds a NUL ends there for Wireshark.
local function without_nul(text)
    return (text:gsub("%z", "\226\144\128"))
end

local function described(message)
    local words = value_of(message, "kind") or "message"
    for _, name in ipairs({ "subject", "id", "re" }) do
        local value = value_of(message, name)
        if value then
            words = words .. (name == "re" and " to #" or name == "id" and " #" or " ") .. value
        end
    end
    local phrases = { words }
    if value_of(message, "more") then
        phrases[#phrases + 1] = "more follows"
    end
    phrases[#phrases + 1] = message.code
    phrases[#phrases + 1] = value_of(message, "content-type") or "application/octet-stream"
    local length = value_of(message, "content-length")
    phrases[#phrases + 1] = length .. (length == "1" and " byte" or " bytes")
    return printable(table.concat(phrases, ", "))
end

local function uint64_of(number)
    return UInt64.new(number % 4294967296, math.floor(number / 4294967296))
end

local function add_member(tree, field, range, member)
    if field == f.more then
        tree:add(field, range, true)
    elseif FIELD_OF[member.name] and FIELD_OF[member.name].is_number then
        tree:add(field, range, uint64_of(tonumber(member.text)))
    else
        tree:add(field, range, without_nul(member.text))
    end
end

local function add_header(tvb, tree, message)
    local first = message.offset + PROTO_HEADER_SIZE
    tree:add(f.header_length, tvb(message.offset, PROTO_HEADER_SIZE))
    local block = tree:add_packet_field(
        f.header, tvb(first, message.header_length), ENC_UTF_8)
    if not message.fields then
        return
    end
    for _, field in ipairs(KNOWN_FIELDS) do
        local member = message.fields.known[field.name]
        if member then
            local size = member.last - member.from + 1
            add_member(tree, field.field, tvb(first + member.from - 1, size), member)
        end
    end
    for _, member in ipairs(message.fields.own) do
        local from, size = first + member.from - 1, member.last - member.from + 1
        local item = block:add(f.header_member, tvb(from, size))
        item:set_text(printable(member.name .. ": " .. member.text))
        item:add(f.header_name, tvb(from, member.first - member.from), without_nul(member.name))
        item:add(f.header_value, tvb(first + member.first - 1, member.last - member.first + 1),
            without_nul(member.text))
    end
end


-- Content

local CHARSETS = {
    ["utf-8"] = ENC_UTF_8, ["utf8"] = ENC_UTF_8, ["binary"] = ENC_UTF_8,
    ["ascii"] = ENC_ASCII, ["us-ascii"] = ENC_ASCII,
    ["latin-1"] = ENC_ISO_8859_1, ["latin1"] = ENC_ISO_8859_1, ["iso-8859-1"] = ENC_ISO_8859_1,
    ["utf-16-le"] = ENC_UTF_16 + ENC_LITTLE_ENDIAN, ["utf-16le"] = ENC_UTF_16 + ENC_LITTLE_ENDIAN,
    ["utf-16-be"] = ENC_UTF_16 + ENC_BIG_ENDIAN, ["utf-16be"] = ENC_UTF_16 + ENC_BIG_ENDIAN,
}

-- Return the charset of content, and the part of the content that is text.
local function charset_of(encoding, range)
    if encoding ~= "utf-16" then
        return CHARSETS[encoding], range
    end
    local mark = range:len() >= 2 and range(0, 2):uint()
    if mark ~= 0xFEFF and mark ~= 0xFFFE then
        return CHARSETS["utf-16-le"], range
    elseif range:len() == 2 then
        return
    end
    return CHARSETS[mark == 0xFEFF and "utf-16-be" or "utf-16-le"], range(2)
end

-- Say what content is, as the format has it: "json", "text" or "bytes".
local function form_of(content_type)
    local essence = content_type:match("^[^;]*"):gsub("[ \t]+$", ""):lower()
    if essence == "application/json" or essence == "text/json" or essence:find("%+json$") then
        return "json"
    end
    return essence:find("^text/") and "text" or "bytes"
end

local TOLD_AS = { code = "code", detail = "reason", reason = "reason" }

-- Read the code and the reason that an error or a close tells of, if it does.
local function read_problem(tvb, message)
    local kind = value_of(message, "kind")
    local length = message.content_length
    if (kind ~= "error" and kind ~= "close") or length == 0 or length > LONGEST_PROBLEM then
        return
    end
    local members = attempt(read_only_object, tvb:raw(message.content_offset, length))
    for _, member in ipairs(members or {}) do
        local told_as = TOLD_AS[member.name]
        if told_as and member.type == "string" then
            message[told_as] = member.text
        end
    end
end

local function add_content(tvb, pinfo, tree, message)
    local size = math.min(message.content_length, tvb:len() - message.content_offset)
    if size <= 0 then
        return
    end
    local range = tvb(message.content_offset, size)
    local item = tree:add(f.content, range)
    local form = form_of(value_of(message, "content-type") or "application/octet-stream")
    local encoding = (value_of(message, "content-encoding") or "utf-8"):lower()
    local charset, text = charset_of(encoding, range)
    if form == "bytes" or not charset or (form == "text" and encoding == "binary") then
        return
    end
    item:add_packet_field(f.text, text, charset)
    if form == "json" and charset == ENC_UTF_8 and size == message.content_length then
        json_dissector:call(range:tvb(), pinfo, tree)
    end
end

local function add_problem(tvb, tree, message)
    local range = tvb(message.content_offset, message.content_length)
    for _, name in ipairs({ "code", "reason" }) do
        if message[name] then
            tree:add(f[name], range, without_nul(message[name]))
        end
    end
    if value_of(message, "kind") == "error" then
        local phrases = { message.code or "no code" }
        phrases[#phrases + 1] = message.reason
        tree:add_proto_expert_info(experts.refused, printable(table.concat(phrases, ": ")))
    end
end


-- Requests and their answers

local IS_ASKING = { request = true, ping = true }
local IS_ANSWERING = { reply = true, error = true, pong = true }

local waiting  -- by stream, asking side and id: the frame and time of what was asked
local asked_in  -- by frame and re: the same, for an answer
local answered_in  -- by frame and id: the frame of the answer, for what was asked

function telex.init()
    waiting, asked_in, answered_in = {}, {}, {}
end

local function link(pinfo, message, stream)
    local kind = value_of(message, "kind")
    local id, re = value_of(message, "id"), value_of(message, "re")
    if pinfo.visited then
        return
    elseif IS_ASKING[kind] and id then
        local asked = { frame = pinfo.number, time = pinfo.rel_ts, id = id }
        waiting[table.concat({ stream, pinfo.src_port, id }, " ")] = asked
    elseif IS_ANSWERING[kind] and re then
        local asked = waiting[table.concat({ stream, pinfo.dst_port, re }, " ")]
        if asked then
            asked_in[pinfo.number .. " " .. re] = asked
            answered_in[asked.frame .. " " .. asked.id] = pinfo.number
        end
    end
end

local function add_links(pinfo, tree, message)
    local kind = value_of(message, "kind")
    local answer = IS_ASKING[kind]
        and answered_in[pinfo.number .. " " .. (value_of(message, "id") or "")]
    if answer then
        tree:add(f.response_in, answer):set_generated()
    end
    local asked = IS_ANSWERING[kind]
        and asked_in[pinfo.number .. " " .. (value_of(message, "re") or "")]
    if asked then
        local seconds = math.max(0, pinfo.rel_ts - asked.time)
        local whole = math.floor(seconds)
        tree:add(f.request_in, asked.frame):set_generated()
        tree:add(f.response_time, NSTime.new(whole, math.floor((seconds - whole) * 1e9 + 0.5)))
            :set_generated()
    end
end


-- Segments

local function add_broken(tvb, tree, message)
    local item = tree:add(telex, tvb(message.offset), "Telex, malformed message")
    if message.header then
        add_header(tvb, item, message)
    elseif message.header_length then
        item:add(f.header_length, tvb(message.offset, PROTO_HEADER_SIZE))
    end
    item:add_proto_expert_info(experts.malformed, printable(message.problem))
    return "malformed: " .. printable(message.problem)
end

local function add_incomplete(tvb, pinfo, tree, message)
    local item = tree:add(telex, tvb(message.offset), "Telex, incomplete message")
    item:add_proto_expert_info(experts.incomplete)
    if not message.fields then
        return "incomplete message"
    end
    item:set_text("Telex, incomplete, " .. described(message))
    add_header(tvb, item, message)
    add_content(tvb, pinfo, item, message)
    return "incomplete " .. described(message)
end

local function add_whole(tvb, pinfo, tree, message, stream)
    read_problem(tvb, message)
    link(pinfo, message, stream)
    local item = tree:add(telex, tvb(message.offset, message.size), "Telex, " .. described(message))
    add_header(tvb, item, message)
    add_links(pinfo, item, message)
    add_content(tvb, pinfo, item, message)
    add_problem(tvb, item, message)
    return described(message)
end

local function can_wait_for(tvb, pinfo, message)
    local most = math.min(telex.prefs.largest * 1048576, MOST_TO_REASSEMBLE)
    return pinfo.can_desegment > 0 and tvb:reported_len() == tvb:len()
        and (message.content_length or 0) <= most
end

local function add_messages(tvb, pinfo, tree, told)
    local stream = tostring(tcp_stream())
    local offset, size = 0, tvb:len()
    while offset < size do
        local message, missing = message_at(tvb, offset)
        if message.problem then
            told[#told + 1] = add_broken(tvb, tree, message)
            return
        elseif missing == 0 then
            told[#told + 1] = add_whole(tvb, pinfo, tree, message, stream)
            offset = offset + message.size
        elseif can_wait_for(tvb, pinfo, message) then
            pinfo.desegment_offset, pinfo.desegment_len = offset, missing
            return
        else
            told[#told + 1] = add_incomplete(tvb, pinfo, tree, message)
            return
        end
    end
end

-- A record of TLS, as a server on the same port may speak it: no header block begins like that.
local function is_tls(tvb)
    return tvb:len() >= 3 and tvb(0, 1):uint() >= 0x14 and tvb(0, 1):uint() <= 0x17
        and tvb(1, 1):uint() == 3 and tvb(2, 1):uint() <= 4
end

-- What an earlier call for the same packet has said stays: it stands before the fence.
local function show_in_list(pinfo, words)
    pinfo.cols.info:clear()
    if tostring(pinfo.cols.info) ~= "" then
        pinfo.cols.info:append("; ")
    end
    pinfo.cols.info:append(words)
    pinfo.cols.info:fence()
end

function telex.dissector(tvb, pinfo, tree)
    if is_tls(tvb) then
        if pinfo.can_desegment > 0 then
            pinfo.can_desegment = 2  -- it counts down from dissector to dissector
        end
        return tls_dissector:call(tvb, pinfo, tree)
    end
    local told = {}
    add_messages(tvb, pinfo, tree, told)
    pinfo.cols.protocol = "Telex"
    if #told > 0 then
        show_in_list(pinfo, table.concat(told, "; "))
    end
    return tvb:len()
end


-- Where it is looked for

local function begins_a_message(tvb)
    local message = message_at(tvb, 0)
    return message.fields ~= nil
end

telex:register_heuristic("tcp", function(tvb, pinfo, tree)
    if not begins_a_message(tvb) then
        return false
    end
    pinfo.conversation = telex
    pinfo.can_desegment = 2  -- which TCP can, though it does not expect so of those who guess
    telex.dissector(tvb, pinfo, tree)
    return true
end)

-- TLS is registered first: it would take the port for itself, and telex.dissector hands it over.
local tables = { DissectorTable.get("tls.port"), DissectorTable.get("tcp.port") }
local registered

local function register()
    for _, ports in ipairs(tables) do
        if registered then
            ports:remove(registered, telex)
        end
        ports:add(telex.prefs.ports, telex)
    end
    registered = telex.prefs.ports
end

function telex.prefs_changed()
    if registered ~= telex.prefs.ports then
        register()
    end
end

register()
