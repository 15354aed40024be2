#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/text_file.h"
#include "text/datasets/json_fields.h"
#include "text/datasets/json_scan.h"
#include "text/datasets/readers.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

/// What the columns are detected from.
constexpr int kSampleRecords = 1000;

/// One piece of a document: a line, or an element of its array.
struct Record {
  JsonRecord json;
  std::string problem;
};

/// Gives the records of a document one by one.
class RecordScanner {
 public:
  /// `array`: behind the '[' of the array to read; nothing for JSON lines.
  RecordScanner(std::string_view text, std::optional<size_t> array) : text_(text) {
    if (array) elements_.emplace(text, *array);
  }

  bool next(Record& record) {
    std::string_view raw;
    bool whole = true;
    if (elements_) {
      if (!elements_->next(raw, whole)) return false;
    } else {
      if (position_ >= text_.size()) return false;
      raw = next_line(text_, position_);
    }
    parse(raw, whole, record);
    return true;
  }

 private:
  static void parse(std::string_view raw, bool whole, Record& record) {
    record.problem.clear();
    if (raw.size() > kMaxRowBytes) {
      record.problem = kRowTooLong;
    } else if (skip_json_space(raw, 0) == raw.size()) {
      record.problem = "blank row";
    } else if (!whole) {
      record.problem = "cut off by the end of the file";
    } else {
      record.json = is_valid_utf8(raw)
                        ? JsonRecord::parse(raw, nullptr, false)
                        : JsonRecord::parse(replace_invalid_utf8(raw), nullptr, false);
      if (record.json.is_discarded()) record.problem = "not valid JSON";
    }
  }

  std::string_view text_;
  std::optional<JsonArrayScanner> elements_;
  size_t position_ = 0;
};

/// Objects with a text in some field, or plain strings.
class JsonRows : public RowReader {
 public:
  JsonRows(std::unique_ptr<TextFile> file, std::optional<size_t> array,
           const ColumnRequest& request)
      : file_(std::move(file)), scanner_(file_->text(), array) {
    FieldSampler sampler;
    RecordScanner sample(file_->text(), array);
    Record record;
    bool strings = false;
    for (int i = 0; i < kSampleRecords && sample.next(record); ++i) {
      if (!record.problem.empty()) continue;
      strings |= record.json.is_string();
      if (record.json.is_object()) sampler.add(record.json);
    }
    const std::vector<Column> fields = sampler.columns();
    if (fields.empty() && strings && request.column.empty()) return;
    choice_ = choose_columns(request, fields);
    for (const size_t i : choice_.columns) names_.push_back(fields[i].name);
    values_ = ValueRows(names_.size());
  }

  bool next(Row& row) override {
    if (values_.next(row)) return true;
    if (!scanner_.next(record_)) return false;
    row.text.clear();
    row.problem = record_.problem;
    if (!row.problem.empty()) return true;
    if (record_.json.is_string() && names_.empty()) {
      row.text = record_.json.get_ref<const std::string&>();
    } else if (record_.json.is_object() && !names_.empty()) {
      read_fields(row);
    } else {
      row.problem = fmt::format("of type {}", record_.json.type_name());
    }
    return true;
  }

  std::string description() const override {
    return names_.empty() ? "strings" : choice_.description;
  }

 private:
  void read_fields(Row& row) {
    for (size_t i = 0; i < names_.size(); ++i) {
      values_.column(i).clear();
      read_field(record_.json, names_[i], values_.column(i));
    }
    values_.start();
    values_.next(row);
  }

  std::unique_ptr<TextFile> file_;
  RecordScanner scanner_;
  ColumnChoice choice_;
  std::vector<std::string> names_;  ///< empty: the records are strings
  ValueRows values_{0};
  Record record_;
};

/// SQuAD: articles with paragraphs with a context; every paragraph is a row.
class SquadRows : public RowReader {
 public:
  SquadRows(std::unique_ptr<TextFile> file, size_t array)
      : file_(std::move(file)), scanner_(file_->text(), array) {}

  bool next(Row& row) override {
    row.text.clear();
    while (paragraph_ >= num_paragraphs()) {
      if (!scanner_.next(article_)) return false;
      paragraph_ = 0;
      row.problem = article_.problem;
      if (row.problem.empty() && !has_paragraphs()) row.problem = "article without 'paragraphs'";
      if (!row.problem.empty()) {
        article_.json = nullptr;
        return true;
      }
    }
    const JsonRecord& paragraph = article_.json["paragraphs"][paragraph_++];
    const bool usable =
        paragraph.is_object() && paragraph.contains("context") && paragraph["context"].is_string();
    row.problem = usable ? "" : "paragraph without 'context'";
    if (usable) row.text = paragraph["context"].get_ref<const std::string&>();
    return true;
  }

  std::string description() const override { return "column 'context' of the SQuAD layout"; }
  bool unique_texts() const override { return true; }

  static bool recognizes(std::string_view text, size_t array) {
    RecordScanner scanner(text, array);
    Record record;
    return scanner.next(record) && record.problem.empty() && record.json.is_object() &&
           record.json.contains("paragraphs");
  }

 private:
  bool has_paragraphs() const {
    return article_.json.is_object() && article_.json.contains("paragraphs") &&
           article_.json["paragraphs"].is_array();
  }
  size_t num_paragraphs() const {
    return has_paragraphs() ? article_.json["paragraphs"].size() : 0;
  }

  std::unique_ptr<TextFile> file_;
  RecordScanner scanner_;
  Record article_;
  size_t paragraph_ = 0;
};

/// Whether the first line is a value of its own, as in JSON lines.
bool first_line_is_value(std::string_view text) {
  size_t behind = skip_json_space(text, 0);
  const std::string_view line = next_line(text, behind);
  const auto end = end_of_json_value(line, 0);
  return end && skip_json_space(line, *end) == line.size();
}

/// The array to read, behind its '['; nothing for JSON lines under another name.
std::optional<size_t> find_records(std::string_view text, const std::string& where) {
  const size_t start = skip_json_space(text, 0);
  size_t second_line = start;
  next_line(text, second_line);
  const bool lines = first_line_is_value(text);
  if (lines && skip_json_space(text, second_line) < text.size()) return std::nullopt;
  if (start < text.size() && text[start] == '[') return start + 1;
  const auto array = find_array_in_object(text);
  if (!array && !lines) {
    throw DataError(fmt::format(
        "{}: no list of records; expected a JSON array, an object that holds one, or JSON lines",
        where));
  }
  return array;
}

}  // namespace

std::unique_ptr<RowReader> open_json_lines(const std::filesystem::path& path,
                                           const ColumnRequest& request) {
  return std::make_unique<JsonRows>(std::make_unique<TextFile>(path), std::nullopt, request);
}

std::unique_ptr<RowReader> open_json(const std::filesystem::path& path,
                                     const ColumnRequest& request) {
  auto file = std::make_unique<TextFile>(path);
  const auto array = find_records(file->text(), request.where);
  if (array && request.column.empty() && SquadRows::recognizes(file->text(), *array)) {
    return std::make_unique<SquadRows>(std::move(file), *array);
  }
  return std::make_unique<JsonRows>(std::move(file), array, request);
}

}  // namespace foregate::text
