#include "text/datasets/dataset.h"

#include <fmt/format.h>

#include <unordered_set>

#include "base/error.h"
#include "base/hash.h"
#include "text/datasets/columns.h"
#include "text/datasets/dataset_files.h"
#include "text/datasets/row_reader.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

namespace fs = std::filesystem;

/// The files of a dataset one after the other, with what makes a row unusable in any format.
class FileSource : public TextSource {
 public:
  explicit FileSource(const DatasetSpec& spec) : spec_(spec), files_(dataset_files(spec.path)) {
    const Preset* preset = find_preset(spec.name);
    unique_ = preset != nullptr && preset->unique_texts;
    open_next_file();
    description_ = fmt::format("{} of {}", reader_ ? reader_->description() : "nothing",
                               files_[next_file_ - 1].filename().string());
    if (files_.size() > 1) {
      description_ = fmt::format("{} files in {}, the first: {}", files_.size(), spec.path.string(),
                                 description_);
    }
  }

  bool next(Sample& sample) override {
    while (reader_ != nullptr) {
      row_.repaired = false;
      if (!reader_->next(row_)) {
        reader_.reset();
        open_next_file();
        continue;
      }
      sample.row = num_rows_++;
      ++row_of_file_;
      if (accept(row_)) {
        sample.text = std::move(row_.text);
        return true;
      }
    }
    return false;
  }

  std::string description() const override { return description_; }

 private:
  /// Opens the next file that is not empty.
  void open_next_file() {
    while (reader_ == nullptr && next_file_ < files_.size()) {
      const fs::path& path = files_[next_file_++];
      std::error_code error;
      if (fs::file_size(path, error) == 0 && !error) {
        if (files_.size() == 1)
          throw DataError(fmt::format("{}: the file is empty", path.string()));
        continue;
      }
      row_of_file_ = 0;
      reader_ = open_file(path, {spec_.column, spec_.name, path.string()});
      unique_ |= reader_->unique_texts();
    }
  }

  /// Counts the row as skipped if it is no usable text.
  bool accept(Row& row) {
    if (row.problem.empty() && row.text.find('\0') != std::string::npos) row.problem = "NUL byte";
    const bool broken = row.problem.empty() && !is_valid_utf8(row.text);
    if (broken) row.text = replace_invalid_utf8(row.text);
    if (row.problem.empty() && is_blank(row.text)) row.problem = "blank text";
    if (row.problem.empty() && unique_ && !seen_.insert(stable_hash(row.text)).second) {
      row.problem = "repeated text";
    }
    if (!row.problem.empty()) {
      skip(row.problem, files_[next_file_ - 1].filename().string(), row_of_file_);
      return false;
    }
    if (broken || row.repaired) count_repaired();
    return true;
  }

  DatasetSpec spec_;
  std::vector<fs::path> files_;
  size_t next_file_ = 0;
  std::unique_ptr<RowReader> reader_;
  std::string description_;
  bool unique_ = false;
  std::unordered_set<uint64_t> seen_;
  Row row_;
  int64_t num_rows_ = 0;
  int64_t row_of_file_ = 0;  ///< counted from 1
};

}  // namespace

DatasetSpec DatasetSpec::parse(const std::string& argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == argument.size()) {
    throw UsageError(
        fmt::format("--data {}: expected NAME=PATH or NAME=PATH:COLUMN, for example "
                    "imdb=reviews.csv:text",
                    argument));
  }
  const std::string rest = argument.substr(equals + 1);
  std::error_code error;
  size_t colon = rest.size();
  while (colon != std::string::npos && colon > 0 && !fs::exists(rest.substr(0, colon), error)) {
    colon = rest.rfind(':', colon - 1);
  }
  if (colon == std::string::npos || colon == 0) {
    // Nothing of that name exists; opening it will say so. A column holds no '/'.
    colon = rest.rfind(':');
    if (colon == std::string::npos || rest.find('/', colon) != std::string::npos) {
      colon = rest.size();
    }
  }
  const std::string column = colon < rest.size() ? rest.substr(colon + 1) : "";
  return {argument.substr(0, equals), rest.substr(0, colon), column};
}

std::string TextSource::place(const std::string& file, int64_t row) {
  return fmt::format("row {} of {}", row, file);
}

int64_t TextSource::num_skipped() const {
  int64_t total = 0;
  for (const auto& [reason, rows] : skipped_) total += rows;
  return total;
}

std::unique_ptr<TextSource> open_dataset(const DatasetSpec& spec) {
  return std::make_unique<FileSource>(spec);
}

}  // namespace foregate::text
