#include <fmt/format.h>

#include "base/encoding/csv_parser.h"
#include "base/error.h"
#include "base/text_file.h"
#include "text/datasets/csv_dialect.h"
#include "text/datasets/csv_layout.h"
#include "text/datasets/readers.h"

namespace foregate::text {
namespace {

/// What the layout is detected from.
constexpr size_t kSampleRows = 1000;
constexpr size_t kSampleBytes = 4 << 20;

class CsvRows : public RowReader {
 public:
  CsvRows(const std::filesystem::path& path, char separator, const ColumnRequest& request)
      : file_(path),
        usual_separator_(separator),
        guess_(detect_csv_dialect(file_.text(), separator, request)),
        parser_(file_.text().substr(guess_.start), guess_.dialect),
        layout_(detect(request)),
        choice_(choose_columns(request, layout_.columns)) {
    header_pending_ = layout_.has_header;
    rows_above_ = layout_.rows_above;
  }

  bool next(Row& row) override {
    while (true) {
      const size_t start = parser_.position();
      if (!parser_.next(cells_)) return false;
      raw_ = file_.text().substr(guess_.start + start, parser_.position() - start);
      if (rows_above_ > 0 && cells_.problem.empty()) {
        --rows_above_;
        cells_.problem = "above the header";
      } else if (header_pending_ && cells_.problem.empty()) {
        header_pending_ = false;
        if (!layout_.header_runs_into_row) continue;
        cells_.problem = "header runs into the first row";
      }
      read(row);
      return true;
    }
  }

  std::string description() const override {
    const char separator = guess_.dialect.separator;
    return choice_.description + (layout_.has_header ? "" : " (no header)") +
           (separator == usual_separator_
                ? ""
                : fmt::format(" (separated by {})", separator_name(separator)));
  }

 private:
  CsvLayout detect(const ColumnRequest& request) const {
    std::vector<std::vector<std::string>> rows;
    CsvParser parser(file_.text().substr(guess_.start), guess_.dialect);
    CsvRow row;
    while (rows.size() < kSampleRows && parser.position() < kSampleBytes && parser.next(row)) {
      if (row.problem.empty()) rows.push_back(row.cells);
    }
    if (rows.empty()) {
      throw DataError(fmt::format("{}: no readable row in the first {} bytes; is it a table?",
                                  request.where, parser.position()));
    }
    return detect_csv_layout(rows, request.column);
  }

  void read(Row& row) const {
    row.text.clear();
    row.problem = cells_.problem;
    if (!row.problem.empty()) return;
    // Where a header names one column nothing separates: a comma that nobody quoted is the text's.
    if (layout_.has_header && layout_.num_columns == 1 && cells_.cells.size() > 1) {
      row.text = raw_.substr(0, raw_.find_last_not_of("\r\n") + 1);
      return;
    }
    if (!fits_columns(cells_.cells, layout_.num_columns)) {
      const bool more = cells_.cells.size() > layout_.num_columns;
      row.problem = fmt::format("{} than {} columns", more ? "more" : "fewer", layout_.num_columns);
      return;
    }
    for (const size_t column : choice_.columns) append_column(row.text, cells_.cells[column]);
  }

  TextFile file_;
  char usual_separator_;
  CsvGuess guess_;
  CsvParser parser_;
  CsvLayout layout_;
  ColumnChoice choice_;
  CsvRow cells_;
  std::string_view raw_;  ///< the row as it stands in the file
  bool header_pending_ = false;
  size_t rows_above_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_csv(const std::filesystem::path& path, char separator,
                                    const ColumnRequest& request) {
  return std::make_unique<CsvRows>(path, separator, request);
}

}  // namespace foregate::text
