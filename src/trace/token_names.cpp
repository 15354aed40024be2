#include "trace/token_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"

namespace foregate::trace {

int32_t hashed_token_id(std::string_view name) {
  constexpr size_t kBytes = 4;
  const std::string digits = sha256_of_text(name);
  uint32_t value = 0;
  for (size_t byte = kBytes; byte-- > 0;) {
    value = value << 8 | static_cast<uint32_t>(std::stoul(digits.substr(2 * byte, 2), nullptr, 16));
  }
  return static_cast<int32_t>(value & INT32_MAX);
}

int32_t TokenNames::id(std::string_view name) {
  const auto [entry, added] = ids_.try_emplace(std::string(name), 0);
  if (!added) return entry->second;
  entry->second =
      kind_ == TokenIds::kHashed ? hashed_token_id(name) : static_cast<int32_t>(names_.size());
  names_.push_back(&entry->first);
  by_id_.try_emplace(entry->second, &entry->first);
  return entry->second;
}

const std::string& TokenNames::name(int32_t id) const {
  static const std::string kNone;
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? kNone : *found->second;
}

void TokenNames::write(const std::filesystem::path& directory) const {
  Json json = Json::array();
  for (const std::string* name : names_) json.push_back(*name);
  write_json_atomically(directory / kTokensName, json);
}

TokenNames TokenNames::read(const std::filesystem::path& directory, TokenIds kind) {
  const std::filesystem::path path = directory / kTokensName;
  const Json json = read_json(path);
  TokenNames names(kind);
  const bool strings = json.is_array() && std::all_of(json.begin(), json.end(),
                                                      [](const Json& x) { return x.is_string(); });
  if (!strings) throw DataError(fmt::format("{}: expected a list of strings", path.string()));
  for (const Json& name : json) {
    const size_t before = names.size();
    names.id(name.get_ref<const std::string&>());
    if (names.size() == before) {
      throw DataError(fmt::format("{}: {} is listed twice", path.string(), name.dump()));
    }
  }
  return names;
}

}  // namespace foregate::trace
