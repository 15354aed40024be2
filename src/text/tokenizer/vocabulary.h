#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace foregate::text {

/// Token texts and their ids, both ways. Ids may have holes.
class Vocabulary {
 public:
  /// Throws DataError if the id is out of range, or text or id is taken. `where` names file and
  /// key.
  void add(std::string token, int64_t id, const std::string& where);

  std::optional<int32_t> find(std::string_view token) const;
  /// Empty for an id that is not there.
  const std::string& token(int32_t id) const;
  /// Highest id + 1.
  int32_t size() const { return static_cast<int32_t>(tokens_.size()); }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids_;
  std::vector<const std::string*> tokens_;  ///< keys of ids_, by id; null in holes
};

}  // namespace foregate::text
