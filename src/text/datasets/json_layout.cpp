#include "text/datasets/json_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text_file.h"
#include "text/datasets/csv_layout.h"
#include "text/datasets/json_fields.h"
#include "text/datasets/json_records.h"
#include "text/datasets/json_scan.h"

namespace foregate::text {
namespace {

using Kind = JsonLayout::Kind;

/// Members that are looked at to tell what an object is.
constexpr size_t kMaxMembers = 1000;

/// Keys under which tools keep their records, where an object holds several lists.
constexpr std::array<std::string_view, 9> kRecordKeys{
    "data", "rows", "records", "examples", "instances", "items", "results", "documents", "texts"};

struct Member {
  std::string key;
  size_t position = 0;  ///< of its value
  char first = ' ';     ///< of its value: a bracket, a quote, a digit
};

std::string plain_key(std::string_view quoted) {
  const auto json = nlohmann::json::parse(quoted, nullptr, false);
  return json.is_string() ? json.get<std::string>()
                          : std::string(quoted.substr(1, quoted.size() - 2));
}

/// The first members of the object behind whose '{' `position` is.
std::vector<Member> members_of(std::string_view text, size_t position) {
  std::vector<Member> members;
  JsonMemberScanner scanner(text, position);
  std::string_view key, value;
  for (bool whole = true; members.size() < kMaxMembers && scanner.next(key, value, whole);) {
    members.push_back({plain_key(key), scanner.value_position(), text[scanner.value_position()]});
  }
  return members;
}

const Member* find(const std::vector<Member>& members, std::string_view key) {
  const auto found = std::ranges::find(members, key, &Member::key);
  return found == members.end() ? nullptr : &*found;
}

/// The first character of the array's first element; ']' if it is empty.
char first_element(std::string_view text, const Member& array) {
  const size_t first = skip_json_space(text, array.position + 1);
  return first < text.size() ? text[first] : ']';
}

size_t count_elements(std::string_view text, size_t position) {
  JsonArrayScanner scanner(text, position);
  std::string_view element;
  size_t count = 0;
  for (bool whole = true; scanner.next(element, whole);) ++count;
  return count;
}

bool is_row_label(std::string_view key) {
  return !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos;
}

bool are_row_labels(const std::vector<Member>& members) {
  return std::ranges::all_of(members,
                             [](const Member& member) { return is_row_label(member.key); });
}

bool have_known_name(const std::vector<Member>& members, const ColumnRequest& request) {
  std::vector<std::string> keys;
  for (const Member& member : members) keys.push_back(member.key);
  return names_a_column(keys, request.column);
}

std::string keys_of(const std::vector<Member>& members) {
  constexpr size_t kShown = 8;
  std::string keys;
  for (size_t i = 0; i < std::min(members.size(), kShown); ++i) {
    keys += fmt::format("{}'{}'", i == 0 ? "" : ", ", members[i].key);
  }
  return members.size() > kShown ? keys + ", ..." : keys;
}

/// A cell of a header: a string, or a number as pandas names columns, or several levels of both.
std::string name_of(const JsonRecord& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.is_null() ? "" : value.dump();
  std::string name;
  for (const JsonRecord& level : value) name += (name.empty() ? "" : ".") + name_of(level);
  return name;
}

JsonRecord value_at(std::string_view text, size_t position) {
  const auto end = end_of_json_value(text, position);
  if (!end) return JsonRecord(JsonRecord::value_t::discarded);
  return parse_json_value(text.substr(position, *end - position));
}

/// A layout of records that are arrays: the first of them may hold the names.
JsonLayout with_cells(JsonLayout layout, std::string_view text, size_t first_record,
                      const ColumnRequest& request) {
  layout.cells = true;
  const JsonRecord first = value_at(text, first_record);
  if (first.is_array() && std::ranges::any_of(first, [](const JsonRecord& cell) {
        return cell.is_object() || cell.is_array();
      })) {
    throw DataError(fmt::format(
        "{}: lists of objects or lists in a list; expected a list of objects, strings or rows",
        request.where));
  }
  std::vector<std::string> names;
  if (!first.is_array()) return layout;
  for (const JsonRecord& cell : first) {
    if (cell.is_string()) names.push_back(cell.get<std::string>());
  }
  if (!names.empty() && names.size() == first.size() && names_a_column(names, request.column)) {
    layout.names = names;
    layout.first_is_header = true;
  }
  return layout;
}

JsonLayout array_layout(std::string_view text, size_t start, const ColumnRequest& request) {
  JsonLayout layout{.kind = Kind::kArray, .position = start + 1};
  const size_t first = skip_json_space(text, start + 1);
  if (first < text.size() && text[first] == '[') return with_cells(layout, text, first, request);
  return layout;
}

/// pandas' split and tight: {"columns": [names], "index": [...], "data": [[cells], ...]}.
std::optional<JsonLayout> split_layout(std::string_view text, const std::vector<Member>& members,
                                       const std::string& where) {
  const Member* names = find(members, "columns");
  const Member* data = find(members, "data");
  if (names == nullptr || data == nullptr || names->first != '[' || data->first != '[') return {};
  if (first_element(text, *data) != '[') return {};
  const JsonRecord list = value_at(text, names->position);
  if (!list.is_array()) return {};
  JsonLayout layout{.kind = Kind::kArray, .position = data->position + 1, .cells = true};
  for (const JsonRecord& name : list) {
    layout.names.push_back(name_of(name));
    if (std::ranges::count(layout.names, layout.names.back()) > 1) {
      throw DataError(
          fmt::format("{}: two columns are called '{}'; rename one", where, layout.names.back()));
    }
  }
  return layout;
}

/// What polars writes of columns: {"columns": [{"name": ..., "values": [...]}, ...]}.
std::optional<JsonLayout> polars_layout(std::string_view text, const std::vector<Member>& members) {
  const Member* list = find(members, "columns");
  if (list == nullptr || list->first != '[' || first_element(text, *list) != '{') return {};
  JsonLayout layout{.kind = Kind::kColumns};
  JsonArrayScanner scanner(text, list->position + 1);
  std::string_view element;
  for (bool whole = true; scanner.next(element, whole);) {
    const auto offset = static_cast<size_t>(element.data() - text.data());
    const auto parts = members_of(text, offset + 1);
    const Member* name = find(parts, "name");
    const Member* values = find(parts, "values");
    if (name == nullptr || values == nullptr || values->first != '[') return {};
    layout.columns.emplace_back(name_of(value_at(text, name->position)), values->position);
  }
  return layout;
}

/// An object that holds arrays of objects: one of them, or the one that COLUMN begins with.
std::optional<JsonLayout> listed_layout(std::string_view text, const std::vector<Member>& members,
                                        const ColumnRequest& request) {
  std::vector<Member> lists;
  for (const Member& member : members) {
    if (member.first == '[' && first_element(text, member) == '{') lists.push_back(member);
  }
  if (lists.empty()) return {};
  const auto layout = [](const Member& list) {
    return JsonLayout{.kind = Kind::kArray, .position = list.position + 1, .list = list.key};
  };
  for (const Member& list : lists) {
    if (request.column.starts_with(list.key + ".")) return layout(list);
  }
  if (lists.size() == 1) return layout(lists[0]);
  for (const std::string_view key : kRecordKeys) {
    if (const Member* list = find(lists, key)) return layout(*list);
  }
  throw DataError(fmt::format("{}: several lists of records: {}; choose one as in :{}.text",
                              request.where, keys_of(lists), lists[0].key));
}

/// An object of objects: pandas' columns, of values by row label, or its index, of records by row
/// label. Nothing if it may be a record.
std::optional<JsonLayout> nested_layout(std::string_view text, size_t start,
                                        const std::vector<Member>& members, bool lines_expected,
                                        const ColumnRequest& request) {
  if (!std::ranges::all_of(members, [](const Member& member) { return member.first == '{'; })) {
    return {};
  }
  JsonLayout by_row{.kind = Kind::kObject, .position = start + 1};
  JsonLayout by_column{.kind = Kind::kColumns};
  for (const Member& member : members) by_column.columns.emplace_back(member.key, member.position);
  const auto inner = members_of(text, members[0].position + 1);
  const bool outer_labels = are_row_labels(members);
  const bool inner_labels = !inner.empty() && are_row_labels(inner);
  if (inner_labels && !outer_labels) return by_column;
  if (outer_labels && !inner_labels) return by_row;
  if (lines_expected && !outer_labels) return {};
  if (!outer_labels) {
    const bool outer_names = have_known_name(members, request);
    const bool inner_names = have_known_name(inner, request);
    if (outer_names != inner_names) return outer_names ? by_column : by_row;
  }
  if (members.size() > inner.size()) return by_row;
  if (outer_labels && members.size() < inner.size()) return by_column;
  throw DataError(fmt::format(
      "{}: an object of objects ({}) in which rows cannot be told from columns; write it as a list "
      "of records (pandas: orient=\"records\")",
      request.where, keys_of(members)));
}

/// Whether the object is a record by itself: it has a text under a usual name, or what COLUMN asks
/// for.
bool is_record(const std::vector<Member>& members, const ColumnRequest& request) {
  const std::string_view wanted = request.column;
  return std::ranges::any_of(members, [&](const Member& member) {
    return (member.first == '"' && is_usual_text_name(member.key)) || member.key == wanted ||
           wanted.starts_with(member.key + ".");
  });
}

/// An object of lists, one a column.
std::optional<JsonLayout> lists_layout(std::string_view text, const std::vector<Member>& members,
                                       bool lines_expected, const ColumnRequest& request) {
  std::vector<Member> lists;
  std::ranges::copy_if(members, std::back_inserter(lists),
                       [](const Member& member) { return member.first == '['; });
  if (lists.empty()) return {};
  JsonLayout layout{.kind = Kind::kColumns};
  std::set<size_t> sizes;
  std::string shown;
  for (const Member& list : lists) {
    const size_t size = count_elements(text, list.position + 1);
    sizes.insert(size);
    layout.columns.emplace_back(list.key, list.position);
    shown += fmt::format("{}'{}' of {}", shown.empty() ? "" : ", ", list.key, size);
  }
  if (lines_expected) {
    const bool table = lists.size() == members.size() && sizes.size() == 1 && *sizes.begin() > 1;
    return table ? std::optional(layout) : std::nullopt;
  }
  if (is_record(members, request) && lists.size() < members.size()) return {};
  if (sizes.size() == 1) return layout;
  std::erase_if(lists, [&](const Member& list) { return first_element(text, list) != '"'; });
  if (lists.size() == 1) {
    return JsonLayout{
        .kind = Kind::kArray, .position = lists[0].position + 1, .list = lists[0].key};
  }
  throw DataError(fmt::format("{}: lists of different sizes, which are no columns of one table: {}",
                              request.where, shown));
}

JsonLayout object_layout(std::string_view text, size_t start, bool lines_expected,
                         const ColumnRequest& request) {
  const auto members = members_of(text, start + 1);
  const JsonLayout record{.kind = lines_expected ? Kind::kLines : Kind::kValues, .position = start};
  if (members.empty()) return record;
  if (const auto layout = split_layout(text, members, request.where)) return *layout;
  if (const auto layout = polars_layout(text, members)) return *layout;
  const bool table = find(members, "schema") != nullptr && find(members, "data") != nullptr;
  if (!lines_expected || table) {
    if (const auto layout = listed_layout(text, members, request)) return *layout;
  }
  if (const auto layout = nested_layout(text, start, members, lines_expected, request)) {
    return *layout;
  }
  if (const auto layout = lists_layout(text, members, lines_expected, request)) return *layout;
  if (members.size() > 1 && are_row_labels(members)) {
    return {.kind = Kind::kObject, .position = start + 1};
  }
  if (lines_expected || is_record(members, request)) return record;
  throw DataError(fmt::format(
      "{}: no list of records: one object with the keys {}; expected a JSON array, an object that "
      "holds one, or JSON lines; where the object is itself the record, say which text: {}:{}",
      request.where, keys_of(members), std::filesystem::path(request.where).filename().string(),
      members[0].key));
}

/// Whether `line` is one value by itself, perhaps with the comma of a list behind it.
bool is_value(std::string_view line) {
  const size_t start = skip_json_space(line, 0);
  const auto end = end_of_json_value(line, start);
  if (!end || *end == start) return false;
  size_t behind = skip_json_space(line, *end);
  if (behind < line.size() && line[behind] == ',') behind = skip_json_space(line, behind + 1);
  return behind == line.size();
}

/// Whether a line behind the first is an object by itself.
bool has_object_lines(std::string_view text, size_t position) {
  constexpr int kLines = 1000;
  for (int i = 0; i < kLines && position < text.size(); ++i) {
    const std::string_view line = next_line(text, position);
    if (line.starts_with('{') && is_value(line)) return true;
  }
  return false;
}

JsonLayout lines_layout(std::string_view text, size_t start, const ColumnRequest& request) {
  const JsonLayout layout;
  return text[start] == '[' ? with_cells(layout, text, start, request) : layout;
}

}  // namespace

JsonLayout detect_json_layout(std::string_view text, bool lines_expected,
                              const ColumnRequest& request) {
  const size_t start = skip_json_space(text, 0);
  if (start == text.size()) {
    throw DataError(fmt::format("{}: the file holds nothing but blanks", request.where));
  }
  size_t second_line = start;
  const std::string_view line = next_line(text, second_line);
  const bool more = skip_json_space(text, second_line) < text.size();
  const bool first_is_value = is_value(line);
  if (first_is_value && more) return lines_layout(text, start, request);
  if (text[start] == '[') {
    const size_t first = skip_json_space(text, start + 1);
    const bool of_records = first < text.size() && (text[first] == '{' || text[first] == '[');
    if (!lines_expected || of_records || !first_is_value) return array_layout(text, start, request);
    return lines_layout(text, start, request);
  }
  if (text[start] != '{') {
    if (lines_expected || first_is_value || has_object_lines(text, second_line)) return {};
    throw DataError(fmt::format(
        "{}: no list of records; expected a JSON array, an object that holds one, or JSON lines",
        request.where));
  }
  const auto end = end_of_json_value(text, start);
  if (!end && (lines_expected || has_object_lines(text, second_line))) return {};
  if (!end || skip_json_space(text, *end) == text.size()) {
    return object_layout(text, start, lines_expected && first_is_value, request);
  }
  // Several values: printed over lines, or lines of which the first is broken.
  const bool broken = has_object_lines(text, second_line) && value_at(text, start).is_discarded();
  return broken ? JsonLayout{} : JsonLayout{.kind = Kind::kValues, .position = start};
}

}  // namespace foregate::text
