#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace foregate::text {

/// One `--data` argument: NAME=PATH[:COLUMN].
///
/// COLUMN is a column's name (letter case counts only if two names differ in nothing else), a
/// dotted path into nested columns ("answers.text"; of lists every element is a text), or a
/// column's number counted from 0, which is what files without a header have. "title+description"
/// joins columns, and what lists they hold, with a space.
struct DatasetSpec {
  std::string name;
  std::filesystem::path path;  ///< file, directory, or pattern with *, ? and []
  std::string column;          ///< empty: preset of that name, else the usual names are tried

  /// PATH may hold ':' if such a file exists; the longest PATH that exists wins. Throws UsageError
  /// with the form expected.
  static DatasetSpec parse(const std::string& argument);
};

/// One usable text.
struct Sample {
  int64_t row = 0;   ///< row in its source, counted from 0 over all rows, skipped ones included
  std::string text;  ///< valid UTF-8, not blank
};

/// Streams the texts of one dataset in the order of its files. Rows that cannot be used are skipped
/// and counted by reason ("blank text", "more than 2 columns", ...), never silently.
class TextSource {
 public:
  virtual ~TextSource() = default;
  /// False at the end. Throws DataError for a file that cannot be read on from.
  virtual bool next(Sample& sample) = 0;
  /// What is read, for people: "column 'text' of test.csv".
  virtual std::string description() const = 0;

  /// Reason -> rows, so far.
  const std::map<std::string, int64_t>& skipped() const { return skipped_; }
  /// Where the first row is that was skipped for that reason: "row 3 of a.jsonl", counted from 1.
  const std::string& first_skipped(const std::string& reason) const {
    return first_skipped_.at(reason);
  }
  int64_t num_skipped() const;
  /// Texts so far in which bytes that are not UTF-8 were replaced by U+FFFD.
  int64_t num_repaired() const { return num_repaired_; }

 protected:
  void skip(const std::string& reason, const std::string& file, int64_t row) {
    if (++skipped_[reason] == 1) first_skipped_[reason] = place(file, row);
  }
  void count_repaired() { ++num_repaired_; }

 private:
  static std::string place(const std::string& file, int64_t row);

  std::map<std::string, int64_t> skipped_;
  std::map<std::string, std::string> first_skipped_;
  int64_t num_repaired_ = 0;
};

/// Opens a dataset: format by extension (csv, tsv, json, jsonl, txt, these also compressed;
/// parquet, arrow) and content,
/// columns by --data's COLUMN, by preset (imdb, yelp_review_full, ag_news, squad, amazon_polarity,
/// dbpedia_14), by the usual names (text, content, review, ...), or else the column with the
/// longest texts. CSV and TSV may lack a header. Of a directory all files of known formats are
/// read, sorted by path. Throws EnvironmentError (missing), DataError (no such column: names those
/// there are; nothing to read; format not known).
std::unique_ptr<TextSource> open_dataset(const DatasetSpec& spec);

}  // namespace foregate::text
