#include "trace/import/engine_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "base/error.h"

namespace foregate::trace {
namespace {

using KeyNames = std::initializer_list<const char*>;

constexpr KeyNames kRoutingNames = {"routed_experts", "response_routed_experts",
                                    "completion_routed_experts", "rollout_routed_experts",
                                    "experts"};
constexpr KeyNames kPromptRoutingNames = {"prompt_routed_experts"};
constexpr KeyNames kWeightNames = {"gate_weights"};
constexpr KeyNames kPromptIds = {"prompt_token_ids", "input_ids", "input_token_ids"};
constexpr KeyNames kGeneratedIds = {"output_ids", "output_token_ids", "completion_token_ids",
                                    "response_token_ids"};
constexpr KeyNames kIdNames = {"token_ids", "tokens"};
constexpr KeyNames kStartNames = {"routed_experts_start_len", "routed_experts_prompt_start"};
constexpr KeyNames kPartNames = {"meta_info", "sgl_ext", "nvext"};
constexpr std::string_view kRoutingSuffix = "routed_experts";

/// The objects that say something about a text, the nearest first.
using Places = std::vector<const Json*>;

const Json* value_at(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const Json* find_value(const Places& places, KeyNames keys) {
  for (const Json* place : places) {
    for (const char* key : keys) {
      if (const Json* value = value_at(*place, key)) return value;
    }
  }
  return nullptr;
}

/// An object and the parts that engines keep in it.
Places with_parts(const Json& object) {
  Places places = {&object};
  for (const char* part : kPartNames) {
    const Json* found = value_at(object, part);
    if (found != nullptr && found->is_object()) places.push_back(found);
  }
  return places;
}

TokenList token_list(const Json* list, const std::string& where) {
  return list == nullptr ? TokenList() : read_token_list(*list, where);
}

/// SGLang's [log probability, id, text] of each token.
TokenList logprob_tokens(const Places& places, const char* key) {
  TokenList tokens;
  const Json* list = find_value(places, {key});
  if (list == nullptr || !list->is_array()) return tokens;
  tokens.kind = TokenIds::kTokenizer;
  for (const Json& entry : *list) {
    const bool fits = entry.is_array() && entry.size() >= 2 && entry[1].is_number_integer() &&
                      entry[1].get<int64_t>() >= 0 && entry[1].get<int64_t>() <= INT32_MAX;
    if (!fits) return {};
    tokens.ids.push_back(entry[1].get<int32_t>());
  }
  return tokens;
}

std::optional<int64_t> count_of(const Places& places, const char* key) {
  const Json* value = find_value(places, {key});
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  const auto count = value->get<int64_t>();
  return count >= 0 && count <= INT_MAX ? std::optional(count) : std::nullopt;
}

/// KeyNames that hold routing, as their names say, and that nobody takes.
std::vector<std::string> unread_keys(const Places& places, std::span<const Json* const> taken) {
  std::vector<std::string> keys;
  for (const Json* place : places) {
    for (const auto& [key, value] : place->items()) {
      const bool holds = key.ends_with(kRoutingSuffix) &&
                         (value.is_array() || value.is_string() || value.is_object());
      if (holds && std::find(taken.begin(), taken.end(), &value) == taken.end())
        keys.push_back(key);
    }
  }
  return keys;
}

/// Aborted requests have null, or lists of nothing.
const Json* unless_empty(const Json* value) {
  const bool empty = value != nullptr && (value->is_array() || value->is_string()) &&
                     (value->empty() || *value == "");
  return empty ? nullptr : value;
}

/// What a line and a choice have in common.
EngineText read_engine_text(const Places& near, const Places& far, const std::string& where) {
  Places all = near;
  all.insert(all.end(), far.begin(), far.end());
  EngineText text;
  text.where = where;
  text.routing = unless_empty(find_value(near, kRoutingNames));
  text.prompt_routing = unless_empty(find_value(all, kPromptRoutingNames));
  text.weights = find_value(near, kWeightNames);
  if (const Json* dtype = find_value(all, {"routed_experts_dtype"}); dtype && dtype->is_string()) {
    text.dtype = dtype->get<std::string>();
  }
  const Json* start = find_value(all, kStartNames);
  if (start != nullptr && start->is_number_integer()) text.start = start->get<int64_t>();
  text.prompt = token_list(find_value(all, kPromptIds), where);
  if (!text.prompt.size()) text.prompt = logprob_tokens(near, "input_token_logprobs");
  text.generated = token_list(find_value(near, kGeneratedIds), where);
  if (!text.generated.size()) text.generated = logprob_tokens(near, "output_token_logprobs");
  const std::vector<const Json*> taken = {text.routing, text.prompt_routing};
  text.unread = unread_keys(all, taken);
  return text;
}

/// Dynamo keeps the first row's token beside the array.
void take_start(EngineText& text) {
  if (text.start != 0 || text.routing == nullptr) return;
  const Json* start = value_at(*text.routing, "start");
  if (start != nullptr && start->is_number_integer()) text.start = start->get<int64_t>();
}

/// Checks what only our own lines have.
void read_labels(const JsonReader& line, EngineText& text) {
  text.dataset = line.string("dataset", "");
  text.sample = line.integer("sample", 0, INT64_MAX, -1);
}

EngineText read_choice(const Json& document, const Json& choice, bool alone, const Places& far,
                       const std::string& where) {
  EngineText text = read_engine_text(with_parts(choice), far, where);
  text.response = true;
  if (text.routing == nullptr && alone) {
    text.routing = find_value(far, kRoutingNames);
    std::erase_if(text.unread, [&](const std::string& key) {
      return text.routing != nullptr && text.routing == find_value(far, {key.c_str()});
    });
  }
  take_start(text);
  // A chunk of a stream names its own tokens, not those of the text.
  const Json* object = value_at(document, "object");
  const bool chunk = object != nullptr && object->is_string() &&
                     object->get_ref<const std::string&>().ends_with(".chunk");
  if (!text.generated.size() && !chunk) {
    text.generated = token_list(find_value({&choice}, kIdNames), where);
  }
  Places counts = with_parts(choice);
  if (const Json* usage = value_at(document, "usage")) counts.push_back(usage);
  text.prompt_count = count_of(counts, "prompt_tokens");
  if (alone) text.generated_count = count_of(counts, "completion_tokens");
  return text;
}

std::vector<EngineText> read_response(const Json& document, const Json& choices, const Places& far,
                                      const std::string& where) {
  std::vector<EngineText> texts;
  for (const Json& choice : choices) {
    const bool alone = choices.size() == 1;
    const std::string place = alone ? where : fmt::format("{}, choice {}", where, texts.size());
    if (!choice.is_object()) {
      throw DataError(fmt::format("{}: expected an object", place));
    }
    texts.push_back(read_choice(document, choice, alone, far, place));
  }
  return texts;
}

EngineText read_line(const Json& document, const Places& far, const std::string& where) {
  Places near = with_parts(document);
  EngineText text = read_engine_text(near, far, where);
  text.response = near.size() > 1 || text.generated.size().has_value();
  take_start(text);
  const JsonReader line(document, where);
  read_labels(line, text);
  // `prompt_tokens` counts in our own lines and in SGLang's meta_info.
  text.prompt_count = count_of(near, "prompt_tokens");
  text.generated_count = count_of(near, "completion_tokens");
  const TokenList ids = token_list(find_value(near, kIdNames), where);
  if (!ids.size()) return text;
  if (text.prompt.size() && !text.generated.size()) {
    text.generated = ids;
  } else if (!text.prompt.size() && !text.generated.size()) {
    text.all = ids;
    if (const auto generated = count_of(near, "response_length");
        generated && *generated <= *ids.size()) {
      text.prompt_count = *ids.size() - *generated;
    }
  }
  return text;
}

const Json* choices_of(const Json& document) {
  const Json* choices = find_value({&document}, {"choices", "outputs"});
  return choices != nullptr && choices->is_array() ? choices : nullptr;
}

}  // namespace

std::vector<EngineText> engine_texts(const Json& document, const std::string& where) {
  if (!document.is_object()) {
    throw DataError(fmt::format("{}: expected a JSON object", where));
  }
  // A log of whole exchanges: the request may know the prompt's tokens and where the rows begin.
  const Json* response = value_at(document, "response");
  const bool exchange = response != nullptr && response->is_object();
  const Json& answer = exchange ? *response : document;
  Places asked;
  if (const Json* request = value_at(document, "request"); request && request->is_object()) {
    asked.push_back(request);
  }
  const Json* choices = choices_of(answer);
  if (choices == nullptr) return {read_line(answer, asked, where)};
  Places far = with_parts(answer);
  far.insert(far.end(), asked.begin(), asked.end());
  return read_response(answer, *choices, far, where);
}

bool looks_like_engine_text(const Json& document) {
  if (!document.is_object()) return false;
  const Json* response = value_at(document, "response");
  const Json& answer = response != nullptr && response->is_object() ? *response : document;
  if (answer.contains("choices") || answer.contains("outputs") || answer.contains("meta_info")) {
    return true;
  }
  for (const Json* place : with_parts(answer)) {
    for (const auto& [key, value] : place->items()) {
      if (std::string_view(key).ends_with(kRoutingSuffix)) return true;
    }
  }
  return answer.contains("experts") && !answer.contains("layer");
}

}  // namespace foregate::trace
