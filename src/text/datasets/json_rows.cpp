#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text_file.h"
#include "text/datasets/json_fields.h"
#include "text/datasets/json_layout.h"
#include "text/datasets/json_records.h"
#include "text/datasets/readers.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

/// What the columns are detected from.
constexpr int kSampleRecords = 1000;

bool holds_replacement(std::string_view text) {
  return text.find("\xef\xbf\xbd") != std::string_view::npos;
}

/// Objects with a text in some field, or plain strings.
class JsonRows : public RowReader {
 public:
  JsonRows(std::unique_ptr<TextFile> file, const JsonLayout& layout, ColumnRequest request)
      : file_(std::move(file)), list_(layout.list), records_(open_records(file_->text(), layout)) {
    if (!list_.empty() && request.column.starts_with(list_ + ".")) {
      request.column.erase(0, list_.size() + 1);
    }
    FieldSampler sampler;
    if (!sample(layout, request.where, sampler) && request.column.empty()) return;
    const std::vector<Column> fields = sampler.columns();
    if (fields.empty()) {
      throw DataError(fmt::format("{}: no column holds texts; the file begins with {}",
                                  request.where, beginning()));
    }
    choice_ = choose_columns(request, fields);
    for (const size_t i : choice_.columns) names_.push_back(fields[i].name);
    values_ = ValueRows(names_.size());
  }

  bool next(Row& row) override {
    const bool found = next_row(row);
    row.repaired = record_.repaired && holds_replacement(row.text);
    return found;
  }

  std::string description() const override {
    return (names_.empty() ? "strings" : choice_.description) +
           (list_.empty() ? "" : fmt::format(" in '{}'", list_));
  }

 private:
  bool next_row(Row& row) {
    if (values_.next(row)) return true;
    if (!records_->next(record_)) return false;
    row.text.clear();
    row.problem = record_.problem;
    if (!row.problem.empty()) return true;
    if (record_.json->is_string() && names_.empty()) {
      row.text = record_.json->get_ref<const std::string&>();
    } else if (record_.json->is_object() && !names_.empty()) {
      read_fields(row);
    } else {
      row.problem = fmt::format("of type {}", record_.json->type_name());
    }
    return true;
  }

  /// Looks at the first records. False if they are strings. Throws DataError if none is valid.
  bool sample(const JsonLayout& layout, const std::string& where, FieldSampler& sampler) const {
    const auto records = open_records(file_->text(), layout);
    Record record, broken;
    int count = 0, usable = 0, strings = 0, objects = 0;
    while (count < kSampleRecords && records->next(record)) {
      if (record.problem == kBlankRow) continue;
      ++count;
      if (record.problem == kNotJson && broken.problem.empty()) broken = record;
      if (!record.problem.empty()) continue;
      ++usable;
      strings += record.json->is_string() ? 1 : 0;
      objects += record.json->is_object() ? 1 : 0;
      if (record.json->is_object()) sampler.add(*record.json);
    }
    if (usable == 0 && !broken.problem.empty()) {
      const char* unit = layout.kind == JsonLayout::Kind::kLines ? "lines" : "records";
      throw DataError(fmt::format("{}: {} of {}{} {} are not valid JSON, the first: {}", where,
                                  count, count == kSampleRecords ? "the first " : "", count, unit,
                                  json_fault(file_->text(), broken)));
    }
    return objects > 0 || strings == 0;
  }

  /// The start of the text, as a message shows it.
  std::string beginning() const {
    constexpr size_t kShownBytes = 60;
    const std::string_view text = file_->text();
    const std::string start(text.substr(0, kShownBytes));
    return replace_invalid_utf8(start) + (text.size() > kShownBytes ? "..." : "");
  }

  void read_fields(Row& row) {
    for (size_t i = 0; i < names_.size(); ++i) {
      values_.column(i).clear();
      read_field(*record_.json, names_[i], values_.column(i));
    }
    values_.start();
    values_.next(row);
  }

  std::unique_ptr<TextFile> file_;
  std::string list_;  ///< the key of the list that is read; empty if it has none
  std::unique_ptr<RecordSource> records_;
  ColumnChoice choice_;
  std::vector<std::string> names_;  ///< empty: the records are strings
  ValueRows values_{0};
  Record record_;
};

/// SQuAD: articles with paragraphs with a context; every paragraph is a row.
class SquadRows : public RowReader {
 public:
  SquadRows(std::unique_ptr<TextFile> file, const JsonLayout& layout)
      : file_(std::move(file)), articles_(open_records(file_->text(), layout)) {}

  bool next(Row& row) override {
    row.text.clear();
    while (paragraph_ >= num_paragraphs()) {
      if (!articles_->next(article_)) return false;
      paragraph_ = 0;
      row.problem = article_.problem;
      if (row.problem.empty() && !has_paragraphs()) row.problem = "article without 'paragraphs'";
      if (!row.problem.empty()) {
        article_.json = nullptr;
        return true;
      }
    }
    const JsonRecord& paragraph = (*article_.json)["paragraphs"][paragraph_++];
    const bool usable =
        paragraph.is_object() && paragraph.contains("context") && paragraph["context"].is_string();
    row.problem = usable ? "" : "paragraph without 'context'";
    if (usable) row.text = paragraph["context"].get_ref<const std::string&>();
    row.repaired = article_.repaired && holds_replacement(row.text);
    return true;
  }

  std::string description() const override { return "column 'context' of the SQuAD layout"; }
  bool unique_texts() const override { return true; }

  static bool recognizes(std::string_view text, const JsonLayout& layout) {
    Record record;
    return layout.kind == JsonLayout::Kind::kArray && open_records(text, layout)->next(record) &&
           record.problem.empty() && record.json->is_object() &&
           record.json->contains("paragraphs");
  }

 private:
  bool has_paragraphs() const {
    return article_.json != nullptr && article_.json->is_object() &&
           article_.json->contains("paragraphs") && (*article_.json)["paragraphs"].is_array();
  }
  size_t num_paragraphs() const {
    return has_paragraphs() ? (*article_.json)["paragraphs"].size() : 0;
  }

  std::unique_ptr<TextFile> file_;
  std::unique_ptr<RecordSource> articles_;
  Record article_;
  size_t paragraph_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_json(const std::filesystem::path& path, bool lines_expected,
                                     const ColumnRequest& request) {
  auto file = std::make_unique<TextFile>(path);
  const JsonLayout layout = detect_json_layout(file->text(), lines_expected, request);
  if (request.column.empty() && SquadRows::recognizes(file->text(), layout)) {
    return std::make_unique<SquadRows>(std::move(file), layout);
  }
  return std::make_unique<JsonRows>(std::move(file), layout, request);
}

}  // namespace foregate::text
