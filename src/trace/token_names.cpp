#include "trace/token_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace foregate::trace {

int32_t TokenNames::id(std::string_view name) {
  const auto [entry, added] =
      ids_.try_emplace(std::string(name), static_cast<int32_t>(names_.size()));
  if (added) names_.push_back(&entry->first);
  return entry->second;
}

const std::string& TokenNames::name(int32_t id) const {
  static const std::string kNone;
  const auto index = static_cast<size_t>(id);
  return id >= 0 && index < names_.size() ? *names_[index] : kNone;
}

void TokenNames::write(const std::filesystem::path& directory) const {
  Json json = Json::array();
  for (const std::string* name : names_) json.push_back(*name);
  write_json_atomically(directory / kTokensName, json);
}

TokenNames TokenNames::read(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kTokensName;
  const Json json = read_json(path);
  TokenNames names;
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
