#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/datasets/columns.h"
#include "text/datasets/value_rows.h"

namespace foregate::text {

/// Records are data of any shape: sorted objects, since the ordered ones of base/json.h search
/// linearly.
using JsonRecord = nlohmann::json;

/// Appends the values at a dotted path ("answers.text") in `object`: one, or as many as the arrays
/// hold that it goes through. A key that holds dots itself is found first. Values that are no texts
/// have a problem that names `path`.
void read_field(const JsonRecord& object, std::string_view path, std::vector<Value>& values);

/// Collects from some records which fields hold strings, nested ones by dotted path.
class FieldSampler {
 public:
  void add(const JsonRecord& object) { add(object, "", false, 0); }
  /// Sorted by name.
  std::vector<Column> columns() const;

 private:
  struct Field {
    size_t bytes = 0, count = 0;
    bool in_list = false;
  };
  void add(const JsonRecord& object, const std::string& prefix, bool in_list, int depth);
  void add_value(const JsonRecord& value, const std::string& name, bool in_list, int depth);

  std::map<std::string, Field> fields_;
};

}  // namespace foregate::text
