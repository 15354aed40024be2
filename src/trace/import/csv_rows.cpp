#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/encoding/csv_parser.h"
#include "base/error.h"
#include "base/files.h"
#include "base/text_file.h"
#include "trace/geometry.h"
#include "trace/import/record_files.h"
#include "trace/import/rows.h"

namespace foregate::trace {
namespace {

constexpr const char* kLayer = "Layer ID";
constexpr const char* kBatch = "Batch Number";
constexpr const char* kToken = "Token";
constexpr const char* kExperts = "Activated Expert IDs";
constexpr size_t kAbsent = static_cast<size_t>(-1);

std::vector<fs::path> csv_files(const fs::path& path) {
  if (!fs::exists(path)) {
    throw EnvironmentError(fmt::format("no such file or directory: {}", path.string()));
  }
  if (!fs::is_directory(path)) return {path};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (is_named(entry.path(), {".csv"})) files.push_back(entry.path());
  }
  if (files.empty()) throw UsageError(fmt::format("{} has no file *.csv", path.string()));
  std::sort(files.begin(), files.end());
  return files;
}

/// A row a decision: Layer ID, Batch Number (may be left out), Token (may be left out), Activated
/// Expert IDs ("[8, 26, 56]"). A batch of a file is a text; its tokens stand in the same order at
/// every layer, without a position.
class CsvRows : public RoutingRows {
 public:
  explicit CsvRows(const ImportOptions& options) : files_(csv_files(options.path)) {
    for (const fs::path& path : options.more_paths) {
      const std::vector<fs::path> more = csv_files(path);
      files_.insert(files_.end(), more.begin(), more.end());
    }
    for (const fs::path& file : files_) size_ += TextFile(file).text().size();
    rewind();
  }

  bool next(RoutingRow& row) override {
    CsvRow cells;
    while (true) {
      while (!parser_->next(cells)) {
        if (++index_ == files_.size()) return false;
        before_ += file_->text().size();
        open();
      }
      ++row_;
      if (cells.problem == "blank row") continue;
      if (!cells.problem.empty()) throw DataError(where() + ": " + cells.problem);
      read(cells.cells, row);
      return true;
    }
  }

  void rewind() override {
    index_ = 0;
    before_ = 0;
    open();
  }

  std::string where() const override {
    return fmt::format("{}, row {}", files_[index_].string(), row_);
  }
  size_t position() const override { return before_ + parser_->position(); }
  size_t size() const override { return size_; }
  bool positions_given() const override { return false; }

 private:
  void open() {
    file_ = std::make_unique<TextFile>(files_[index_]);
    parser_ = std::make_unique<CsvParser>(file_->text(), ',');
    positions_.clear();
    row_ = 1;
    CsvRow header;
    if (!parser_->next(header)) throw DataError(files_[index_].string() + ": the file is empty");
    const auto column = [&](const char* name) {
      const auto found = std::find(header.cells.begin(), header.cells.end(), name);
      return found == header.cells.end() ? kAbsent
                                         : static_cast<size_t>(found - header.cells.begin());
    };
    columns_ = header.cells.size();
    layer_ = column(kLayer);
    batch_ = column(kBatch);
    token_ = column(kToken);
    experts_ = column(kExperts);
    if (layer_ == kAbsent || experts_ == kAbsent) {
      throw DataError(fmt::format("{}: the header has no '{}'; expected {}, {}, {}, {}", where(),
                                  layer_ == kAbsent ? kLayer : kExperts, kLayer, kBatch, kToken,
                                  kExperts));
    }
  }

  void read(const std::vector<std::string>& cells, RoutingRow& row) {
    if (cells.size() != columns_) {
      throw DataError(
          fmt::format("{}: {} cells; the header has {}", where(), cells.size(), columns_));
    }
    row = {};
    const char* begin = cells[layer_].data();
    const char* end = begin + cells[layer_].size();
    row.layer = integer(begin, end, kLayer, INT16_MAX);
    if (begin != end) fail(kLayer, cells[layer_]);
    row.text = files_[index_].filename().string();
    if (batch_ != kAbsent) row.text += "\n" + cells[batch_];
    row.token = positions_[row.text][row.layer]++;
    if (token_ != kAbsent) {
      row.token_kind = TokenIds::kHashed;
      row.token_name = cells[token_];
    }
    read_experts(cells[experts_], row.experts);
  }

  void read_experts(const std::string& cell, std::vector<uint16_t>& experts) const {
    const char* begin = cell.data();
    const char* end = begin + cell.size();
    const auto accept = [&](char c) {
      while (begin != end && *begin == ' ') ++begin;
      if (begin == end || *begin != c) return false;
      ++begin;
      return true;
    };
    if (!accept('[')) fail(kExperts, cell);
    do {
      while (begin != end && *begin == ' ') ++begin;
      experts.push_back(static_cast<uint16_t>(integer(begin, end, kExperts, kMaxExperts - 1)));
    } while (accept(','));
    if (!accept(']') || begin != end) fail(kExperts, cell);
  }

  /// Reads an integer from 0 to `high` and moves `begin` behind it.
  int64_t integer(const char*& begin, const char* end, const char* column, int64_t high) const {
    int64_t value = -1;
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (error != std::errc() || value < 0 || value > high) fail(column, {begin, end});
    begin = stop;
    return value;
  }

  [[noreturn]] void fail(const char* column, const std::string& found) const {
    throw DataError(fmt::format("{}: '{}' has '{:.40}'; expected {}", where(), column, found,
                                column == kLayer ? "a layer" : "expert ids as [8, 26, 56]"));
  }

  std::vector<fs::path> files_;
  std::unique_ptr<TextFile> file_;
  std::unique_ptr<CsvParser> parser_;
  size_t index_ = 0;   ///< of the open file
  size_t before_ = 0;  ///< bytes of the files before it
  size_t size_ = 0;
  int64_t row_ = 0;  ///< counted from 1, with the header
  size_t columns_ = 0;
  size_t layer_ = kAbsent;
  size_t batch_ = kAbsent;
  size_t token_ = kAbsent;
  size_t experts_ = kAbsent;
  /// Tokens seen of each text of the file at each layer.
  std::map<std::string, std::map<int64_t, int64_t>> positions_;
};

}  // namespace

std::unique_ptr<RoutingRows> read_csv_rows(const ImportOptions& options) {
  return std::make_unique<CsvRows>(options);
}

}  // namespace foregate::trace
