#pragma once

// Internal to trace/: records that hold one routing decision a row.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trace/import/import.h"
#include "trace/manifest.h"

namespace foregate::trace {

/// The decision of one token at one layer.
struct RoutingRow {
  std::string dataset;  ///< empty if the record names none
  std::string text;     ///< what tells the texts apart: a request's id, a file and batch
  int64_t token = 0;    ///< position in the text
  int64_t layer = 0;    ///< as the record counts them
  std::vector<uint16_t> experts;
  std::vector<float> weights;  ///< as long as experts, or empty
  TokenIds token_kind = TokenIds::kUnique;
  int32_t token_id = 0;    ///< kTokenizer
  std::string token_name;  ///< kHashed
};

/// Reads rows in the order of the record; can be read again from the beginning.
class RoutingRows {
 public:
  virtual ~RoutingRows() = default;
  /// False at the end. Throws DataError naming file and place.
  virtual bool next(RoutingRow& row) = 0;
  virtual void rewind() = 0;
  /// File and place of the row that next() gave last.
  virtual std::string where() const = 0;
  /// Bytes read, and bytes in all.
  virtual size_t position() const = 0;
  virtual size_t size() const = 0;
  /// As far as the record names it; to be asked at the end.
  virtual std::string model() const { return ""; }
  /// Whether `token` is the record's own word. If not it was counted, and a row that is missing
  /// has moved those behind it.
  virtual bool positions_given() const = 0;
  /// To be asked at the end: throws DataError if these rows cannot make whole texts, whatever is
  /// left out.
  virtual void require_whole() const {}
  /// What this reading left out.
  virtual LeftOut left_out() const { return {}; }
};

std::unique_ptr<RoutingRows> read_json_rows(const std::vector<std::filesystem::path>& files,
                                            const ImportOptions& options);
std::unique_ptr<RoutingRows> read_csv_rows(const ImportOptions& options);

}  // namespace foregate::trace
