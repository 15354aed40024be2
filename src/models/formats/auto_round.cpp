#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "models/formats/config_readers.h"

namespace foregate::models {
namespace {

// extra_config: {MODULE or EXPRESSION: {settings}}; 16 bits and more leave a module as floats.
void read_extra_config(const JsonReader& reader, CheckpointFormat& format) {
  const JsonReader extra = reader.object("extra_config");
  for (const auto& [key, value] : extra.json().items()) {
    const JsonReader settings = extra.object(key.c_str());
    GptqOverride other{.modules = {}, .format = format.gptq};
    other.modules.add_name(key);
    if (key.find_first_of("*+?[(|^$\\") != std::string::npos) {
      other.modules.add_regex(key, extra.where(), /*whole=*/true);
    }
    const int64_t bits = settings.integer("bits", 1, 32, format.gptq.bits);
    if (bits >= 16) {
      other.format = std::nullopt;
    } else {
      if (bits < 2 || (bits > 4 && bits != 8)) {
        settings.fail("bits", "2, 3, 4, 8 or 16, the ones supported");
      }
      other.format->bits = bits;
      other.format->group_size =
          settings.integer("group_size", -1, INT32_MAX, format.gptq.group_size);
      if (other.format->group_size == 0) {
        settings.fail("group_size", "at least 1, or -1 for one group");
      }
      if (settings.has("sym")) other.format->symmetric = settings.boolean("sym");
    }
    format.gptq_overrides.push_back(std::move(other));
  }
}

}  // namespace

void read_auto_round_config(const JsonReader& reader, CheckpointFormat& format) {
  const std::string packing = reader.string("packing_format");
  if (reader.string("data_type", "int") != "int") {
    reader.fail("data_type", "int, the only one supported");
  }
  if (packing == "auto_round:auto_awq") {
    format.method = "awq";
    read_awq_config(reader, format);
    if (reader.has("extra_config") && !reader.at("extra_config").empty()) {
      reader.fail("extra_config", "nothing: settings by module are not supported beside auto_awq");
    }
    return;
  }
  if (packing != "auto_round:auto_gptq") {
    reader.fail("packing_format",
                "auto_round:auto_gptq or auto_round:auto_awq, the ones supported");
  }
  format.method = "gptq";
  read_gptq_config(reader, format);
  if (reader.has("extra_config")) read_extra_config(reader, format);
}

}  // namespace foregate::models
