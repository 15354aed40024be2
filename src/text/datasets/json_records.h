#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "text/datasets/json_fields.h"
#include "text/datasets/json_layout.h"

namespace foregate::text {

inline constexpr const char* kNotJson = "not valid JSON";

/// One record of a document.
struct Record {
  std::shared_ptr<JsonRecord> json;  ///< meant only if there is no problem
  std::string problem;               ///< why there is none; empty if there is one
  std::string_view raw;              ///< where it stands in the text
  bool repaired = false;             ///< U+FFFD stands in it for what is no Unicode
};

/// Gives the records of a document one by one. A broken one takes no other along.
class RecordSource {
 public:
  virtual ~RecordSource() = default;
  /// False at the end.
  virtual bool next(Record& record) = 0;
};

/// A value as Python's json module writes it; discarded if it is none.
JsonRecord parse_json_value(std::string_view text);

/// `text` must outlive the source.
std::unique_ptr<RecordSource> open_records(std::string_view text, const JsonLayout& layout);

/// Where and why `record` of `text` is not valid JSON: "line 3, column 26, at NaN}".
std::string json_fault(std::string_view text, const Record& record);

}  // namespace foregate::text
