#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "trace/manifest.h"

namespace foregate::trace {

/// tokens.json: the strings of an imported trace's tokens, a JSON list.
inline constexpr const char* kTokensName = "tokens.json";

/// Whether a trace with such ids has a tokens.json.
constexpr bool has_token_names(TokenIds token_ids) {
  return token_ids == TokenIds::kHashed || token_ids == TokenIds::kByAppearance;
}

/// The id of a token that is known by its string alone: the first four bytes of the string's
/// SHA-256 as a little-endian integer, without the topmost bit. The same in every trace.
int32_t hashed_token_id(std::string_view name);

/// Ids for tokens that a source names by their strings, and the strings behind the ids.
class TokenNames {
 public:
  /// kHashed, or kByAppearance (0, 1, 2, ...) as imports numbered before.
  explicit TokenNames(TokenIds kind = TokenIds::kHashed) : kind_(kind) {}

  int32_t id(std::string_view name);
  size_t size() const { return names_.size(); }
  bool empty() const { return names_.empty(); }
  /// The string of an id, the first one that was given it; empty if there is none.
  const std::string& name(int32_t id) const;
  /// Calls visit(id, name) for every string.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const std::string* name : names_) visit(ids_.at(*name), *name);
  }
  /// Strings that have another one's id: they count as the same token.
  size_t collisions() const { return names_.size() - by_id_.size(); }

  /// Throws EnvironmentError.
  void write(const std::filesystem::path& directory) const;
  /// The names that write() left. Throws EnvironmentError (missing) or DataError.
  static TokenNames read(const std::filesystem::path& directory, TokenIds kind);

 private:
  TokenIds kind_;
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<const std::string*> names_;  ///< keys of ids_, which do not move
  std::unordered_map<int32_t, const std::string*> by_id_;
};

}  // namespace foregate::trace
