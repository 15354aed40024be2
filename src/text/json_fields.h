#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/columns.h"

namespace foregate {

/// Records are data of any shape: sorted objects, since the ordered ones of base/json.h search
/// linearly.
using JsonRecord = nlohmann::json;

/// The value at a dotted path ("answer.text") in `object`; null if there is none. A key that holds
/// dots itself is found first.
const JsonRecord* find_field(const JsonRecord& object, std::string_view path);

/// Collects from some records which fields hold strings, nested ones by dotted path.
class FieldSampler {
 public:
  void add(const JsonRecord& object) { add(object, ""); }
  /// Sorted by name.
  std::vector<Column> columns() const;

 private:
  struct Field {
    size_t bytes = 0, count = 0;
  };
  void add(const JsonRecord& object, const std::string& prefix);

  std::map<std::string, Field> fields_;
};

}  // namespace foregate
