#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace foregate::trace {

/// tokens.json: the strings of an imported trace's tokens, a JSON list whose index is the id.
inline constexpr const char* kTokensName = "tokens.json";

/// Ids for tokens that a source names by their strings: 0, 1, 2, ... by first appearance.
class TokenNames {
 public:
  int32_t id(std::string_view name);
  size_t size() const { return names_.size(); }
  /// The string of an id; empty if there is none.
  const std::string& name(int32_t id) const;
  bool empty() const { return names_.empty(); }

  /// Throws EnvironmentError.
  void write(const std::filesystem::path& directory) const;
  /// The names that write() left. Throws EnvironmentError (missing) or DataError.
  static TokenNames read(const std::filesystem::path& directory);

 private:
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<const std::string*> names_;  ///< keys of ids_, which do not move
};

}  // namespace foregate::trace
