#include "predict/training/identity.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/json.h"

namespace foregate::predict {
namespace {

constexpr std::string_view kDigest = "sha256";

/// Takes digests out of both that only one has; whether there were any.
bool drop_unknown_digests(Json& before, Json& now) {
  bool dropped = false;
  if (before.is_array() && now.is_array() && before.size() == now.size()) {
    for (size_t i = 0; i < before.size(); ++i) dropped |= drop_unknown_digests(before[i], now[i]);
  }
  if (!before.is_object() || !now.is_object()) return dropped;
  std::vector<std::string> keys;
  for (const Json* json : {&before, &now}) {
    for (const auto& [key, value] : json->items()) keys.push_back(key);
  }
  for (const std::string& key : keys) {
    if (before.contains(key) && now.contains(key)) {
      dropped |= drop_unknown_digests(before[key], now[key]);
    } else if (key.ends_with(kDigest)) {
      before.erase(key);
      now.erase(key);
      dropped = true;
    }
  }
  return dropped;
}

/// An unfinished training says "what" it is as a label with the predictor's identity behind it.
Json parsed(const std::string& identity) {
  Json json = parse_json(identity, "identity");
  const auto what = json.find("what");
  if (what == json.end() || !what->is_string()) return json;
  const auto text = what->get<std::string>();
  const size_t brace = text.find('{');
  if (brace == std::string::npos) return json;
  *what = text.substr(0, brace);
  json["of"] = parse_json(std::string_view(text).substr(brace), "identity");
  return json;
}

/// What a digest at this place is of.
std::string words_of(const std::string& path, const Json& now) {
  if (path.ends_with("model.config_sha256")) return "config.json of the model has changed";
  if (path.ends_with("model.weights_sha256")) return "the model has other weights";
  if (path.ends_with("tokenizer_sha256")) return "tokenizer.json of the model has changed";
  if (path.ends_with("trace.manifest_sha256")) return "the trace is another one";
  const size_t data = path.find("live.data[");
  if (data == std::string::npos || !path.ends_with(kDigest)) return "";
  const Json& origin = now.contains("of") ? now["of"] : now;
  const size_t number = std::stoul(path.substr(path.find('[', data) + 1));
  return fmt::format("dataset '{}' has other texts",
                     origin["live"]["data"][number]["name"].get<std::string>());
}

}  // namespace

IdentityDifference identity_difference(const std::string& before, const std::string& now) {
  if (before == now) return {};
  Json old_json = parsed(before);
  Json new_json = parsed(now);
  IdentityDifference result;
  result.unknown = drop_unknown_digests(old_json, new_json);
  const auto difference = first_difference(old_json, new_json);
  if (!difference) return result;
  result.words = words_of(difference->path, new_json);
  if (result.words.empty()) {
    result.words = fmt::format("{}: {} there, {} asked for", difference->path, difference->before,
                               difference->now);
  }
  return result;
}

}  // namespace foregate::predict
