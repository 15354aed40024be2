#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace foregate::models {

/// What a quantization_config says of modules by name.
class ModulePatterns {
 public:
  /// The module of exactly this name.
  void add_name(std::string name);
  /// Modules whose names begin with a match of this regular expression (Python's re.match; `whole`:
  /// re.fullmatch). Throws DataError, naming `where`, if it is none.
  void add_regex(const std::string& pattern, const std::string& where, bool whole = false);
  /// Modules whose whole names match this shell pattern: * and ?.
  void add_glob(const std::string& pattern, const std::string& where);
  /// Modules that an entry of modules_to_not_convert names, as transformers' should_convert_module
  /// reads it: whose names begin with a match of it, up to a dot, or end in it.
  void add_skipped(const std::string& entry, const std::string& where);

  /// Modules whose names this is a part of.
  void add_part(std::string part);

  bool empty() const {
    return names_.empty() && expressions_.empty() && endings_.empty() && parts_.empty();
  }
  bool matches(std::string_view module) const;

 private:
  class Expression;

  std::vector<std::string> names_;
  std::vector<std::string> endings_;
  std::vector<std::string> parts_;
  std::vector<std::shared_ptr<const Expression>> expressions_;
};

}  // namespace foregate::models
