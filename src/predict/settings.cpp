#include "predict/settings.h"

#include <nlohmann/json.hpp>

namespace foregate::predict {

Json settings_to_json(const Settings& settings) {
  Json json = Json::object();
  for (const auto& [name, setting] : settings) {
    std::visit([&json, &name](const auto& value) { json[name] = value; }, setting);
  }
  return json;
}

Settings settings_from_json(const JsonReader& reader) {
  Settings settings;
  for (const auto& [name, value] : reader.json().items()) {
    if (value.is_number_integer()) {
      settings.emplace_back(name, value.get<int64_t>());
    } else if (value.is_number()) {
      settings.emplace_back(name, value.get<double>());
    } else if (value.is_string()) {
      settings.emplace_back(name, value.get<std::string>());
    } else {
      reader.fail(name.c_str(), "a number or a name");
    }
  }
  return settings;
}

}  // namespace foregate::predict
