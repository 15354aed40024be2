#include "text/datasets/json_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <variant>

#include "base/json_dialect.h"
#include "base/row_limits.h"
#include "base/text_file.h"
#include "text/datasets/json_scan.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

constexpr const char* kCutOff = "cut off by the end of the file";

/// Valid UTF-8, and no surrogates without their other halves.
std::string as_unicode(std::string_view text) {
  return without_lone_surrogates(is_valid_utf8(text) ? text : replace_invalid_utf8(text));
}

/// Discarded if it is no value. `repaired`: whether something in it was no Unicode.
JsonRecord parse(std::string_view text, bool& repaired) {
  repaired = false;
  JsonRecord json = JsonRecord::parse(text, nullptr, false);
  if (!json.is_discarded()) return json;
  const std::string unicode = as_unicode(text);
  repaired = unicode != text;
  if (repaired) json = JsonRecord::parse(unicode, nullptr, false);
  if (!json.is_discarded()) return json;
  return JsonRecord::parse(null_for_nonfinite(unicode), nullptr, false);
}

void parse_record(std::string_view raw, bool whole, Record& record) {
  record.problem.clear();
  record.raw = raw;
  record.repaired = false;
  if (raw.size() > kMaxRowBytes) {
    record.problem = kRowTooLong;
  } else if (skip_json_space(raw, 0) == raw.size()) {
    record.problem = kBlankRow;
  } else if (!whole) {
    record.problem = kCutOff;
  } else {
    raw.remove_prefix(skip_json_space(raw, 0));
    record.json = std::make_shared<JsonRecord>(parse(raw, record.repaired));
    if (record.json->is_discarded()) record.problem = kNotJson;
  }
}

/// A value a line; several on a line, and a comma behind one, are read too.
class LineRecords : public RecordSource {
 public:
  explicit LineRecords(std::string_view text) : text_(text) {}

  bool next(Record& record) override {
    std::string_view line = rest_;
    if (line.empty()) {
      if (position_ >= text_.size()) return false;
      line = next_line(text_, position_);
      // Files put one behind the other bring their marks along.
      if (line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
    }
    rest_ = {};
    parse_record(line, true, record);
    if (record.problem == kNotJson) take_first(line, record);
    return true;
  }

 private:
  /// Reads the first of the line's values, if it is one, and keeps the others for the next calls.
  void take_first(std::string_view line, Record& record) {
    const size_t start = skip_json_space(line, 0);
    const auto end = end_of_json_value(line, start);
    if (!end || *end == start) return;
    size_t behind = skip_json_space(line, *end);
    if (behind < line.size() && line[behind] == ',') behind = skip_json_space(line, behind + 1);
    if (behind < line.size() && line[behind] != '{' && line[behind] != '[') return;
    Record first;
    parse_record(line.substr(start, *end - start), true, first);
    if (!first.problem.empty()) return;
    record = std::move(first);
    rest_ = line.substr(behind);
  }

  std::string_view text_;
  size_t position_ = 0;
  std::string_view rest_;
};

/// Values one behind the other, over any number of lines.
class ValueRecords : public RecordSource {
 public:
  ValueRecords(std::string_view text, size_t position) : text_(text), position_(position) {}

  bool next(Record& record) override {
    position_ = skip_json_space(text_, position_);
    while (position_ < text_.size() && text_[position_] == ',') {
      position_ = skip_json_space(text_, position_ + 1);
    }
    if (position_ >= text_.size()) return false;
    const auto end = end_of_json_value(text_, position_);
    size_t stop = std::max(end.value_or(text_.size()), position_ + 1);
    parse_record(text_.substr(position_, stop - position_), end.has_value(), record);
    if (!record.problem.empty()) {
      // A lost quote or bracket would swallow the records behind it: they begin at a line's start.
      const size_t next_record = text_.find("\n{", position_ + 1);
      if (next_record < stop) {
        stop = next_record + 1;
        record.raw = text_.substr(position_, stop - position_);
        record.problem = kNotJson;
      }
    }
    position_ = stop;
    return true;
  }

 private:
  std::string_view text_;
  size_t position_;
};

class ArrayRecords : public RecordSource {
 public:
  ArrayRecords(std::string_view text, size_t position) : elements_(text, position) {}

  bool next(Record& record) override {
    std::string_view raw;
    bool whole = true;
    if (!elements_.next(raw, whole)) return false;
    parse_record(raw, whole, record);
    return true;
  }

 private:
  JsonArrayScanner elements_;
};

/// The values of an array or of an object's members, with what is left behind the last.
class ListCursor {
 public:
  /// `position`: of the bracket.
  ListCursor(std::string_view text, size_t position) : text_(text) {
    if (text[position] == '{') {
      scanner_.emplace<JsonMemberScanner>(text, position + 1);
    } else {
      scanner_.emplace<JsonArrayScanner>(text, position + 1);
    }
  }

  /// False at the end. `key` is empty in an array.
  bool next(std::string_view& key, Record& record) {
    std::string_view raw;
    bool whole = true;
    if (auto* array = std::get_if<JsonArrayScanner>(&scanner_)) {
      if (!array->next(raw, whole)) return false;
    } else if (auto* object = std::get_if<JsonMemberScanner>(&scanner_)) {
      if (!object->next(key, raw, whole)) return report_rest(object->position(), record);
    }
    parse_record(raw, whole, record);
    return true;
  }

 private:
  /// What stands between the last member that could be read and the object's end is no member.
  bool report_rest(size_t position, Record& record) {
    position = skip_json_space(text_, position);
    if (position >= text_.size() || text_[position] == '}' || reported_) return false;
    reported_ = true;
    record.raw = text_.substr(position, 1);
    record.problem = "what is behind it in the object cannot be read";
    return true;
  }

  std::string_view text_;
  std::variant<std::monostate, JsonArrayScanner, JsonMemberScanner> scanner_;
  bool reported_ = false;
};

class MemberRecords : public RecordSource {
 public:
  MemberRecords(std::string_view text, size_t brace) : members_(text, brace) {}

  bool next(Record& record) override {
    std::string_view key;
    return members_.next(key, record);
  }

 private:
  ListCursor members_;
};

/// Rows of columns that stand one behind the other.
class ColumnRecords : public RecordSource {
 public:
  ColumnRecords(std::string_view text, const JsonLayout& layout) {
    for (const auto& [name, position] : layout.columns)
      columns_.push_back({name, {text, position}});
  }

  bool next(Record& record) override {
    record.json = std::make_shared<JsonRecord>(JsonRecord::object());
    record.problem.clear();
    record.repaired = false;
    size_t found = 0;
    std::string_view label;
    for (Column& column : columns_) {
      std::string_view key;
      if (!column.values.next(key, value_)) continue;
      if (found++ == 0) {
        label = key;
        record.raw = value_.raw;
      }
      record.repaired |= value_.repaired;
      if (!value_.problem.empty()) {
        record.problem = value_.problem;
        continue;
      }
      if (key != label) record.problem = "columns with different row labels";
      (*record.json)[column.name] = std::move(*value_.json);
    }
    if (found == 0) return false;
    if (found < columns_.size()) record.problem = "columns of different length";
    return true;
  }

 private:
  struct Column {
    std::string name;
    ListCursor values;
  };
  std::vector<Column> columns_;
  Record value_;
};

/// Makes objects of records that are arrays of cells.
class CellRecords : public RecordSource {
 public:
  CellRecords(std::unique_ptr<RecordSource> rows, const JsonLayout& layout)
      : rows_(std::move(rows)), names_(layout.names) {
    Record header;
    if (layout.first_is_header) rows_->next(header);
  }

  bool next(Record& record) override {
    if (!rows_->next(record)) return false;
    if (!record.problem.empty() || !record.json->is_array()) return true;
    const size_t size = record.json->size();
    if (!names_.empty() && size != names_.size()) {
      record.problem =
          fmt::format("{} than {} columns", size > names_.size() ? "more" : "fewer", names_.size());
      return true;
    }
    JsonRecord object = JsonRecord::object();
    for (size_t i = 0; i < size; ++i) {
      object[names_.empty() ? std::to_string(i) : names_[i]] = std::move((*record.json)[i]);
    }
    *record.json = std::move(object);
    return true;
  }

 private:
  std::unique_ptr<RecordSource> rows_;
  std::vector<std::string> names_;
};

std::unique_ptr<RecordSource> open_plain_records(std::string_view text, const JsonLayout& layout) {
  switch (layout.kind) {
    case JsonLayout::Kind::kLines:
      return std::make_unique<LineRecords>(text);
    case JsonLayout::Kind::kValues:
      return std::make_unique<ValueRecords>(text, layout.position);
    case JsonLayout::Kind::kArray:
      return std::make_unique<ArrayRecords>(text, layout.position);
    case JsonLayout::Kind::kObject:
      return std::make_unique<MemberRecords>(text, layout.position - 1);
    case JsonLayout::Kind::kColumns:
      return std::make_unique<ColumnRecords>(text, layout);
  }
  throw std::logic_error("open_records: no such kind");
}

}  // namespace

JsonRecord parse_json_value(std::string_view text) {
  bool repaired = false;
  return parse(text, repaired);
}

std::unique_ptr<RecordSource> open_records(std::string_view text, const JsonLayout& layout) {
  auto records = open_plain_records(text, layout);
  return layout.cells ? std::make_unique<CellRecords>(std::move(records), layout)
                      : std::move(records);
}

std::string json_fault(std::string_view text, const Record& record) {
  constexpr size_t kShownBytes = 16;
  auto offset = static_cast<size_t>(record.raw.data() - text.data());
  size_t error = record.raw.size();
  try {
    const auto ignored =
        nlohmann::json::parse(null_for_nonfinite(without_lone_surrogates(record.raw)));
  } catch (const nlohmann::json::parse_error& fault) {
    error = std::min<size_t>(fault.byte > 0 ? fault.byte - 1 : 0, record.raw.size());
  } catch (const nlohmann::json::exception&) {
    error = 0;  // A number beyond all bounds: somewhere in it.
  }
  const bool at_end = error >= record.raw.size();
  offset += error;
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(offset), '\n');
  const size_t line_start = offset == 0 ? std::string_view::npos : text.rfind('\n', offset - 1);
  const size_t column = offset - (line_start == std::string_view::npos ? 0 : line_start + 1) + 1;
  if (at_end) return fmt::format("line {}, column {}, where it ends too early", line, column);
  std::string shown(record.raw.substr(error, kShownBytes));
  return fmt::format("line {}, column {}, at {}", line, column, replace_invalid_utf8(shown));
}

}  // namespace foregate::text
