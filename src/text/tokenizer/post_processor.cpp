#include "text/tokenizer/post_processor.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate::text {
namespace {

std::vector<int32_t> special_ids(const JsonReader& processor, const std::string& name) {
  const JsonReader special = processor.object("special_tokens").object(name.c_str());
  std::vector<int32_t> ids;
  for (const int64_t id : special.integers("ids")) ids.push_back(static_cast<int32_t>(id));
  return ids;
}

PostProcessor read_template(const JsonReader& processor) {
  PostProcessor result;
  bool text_seen = false;
  for (const Json& piece : processor.array("single")) {
    const JsonReader reader(piece, processor.where() + ": single");
    if (reader.has("SpecialToken")) {
      const auto ids = special_ids(processor, reader.object("SpecialToken").string("id"));
      auto& side = text_seen ? result.suffix : result.prefix;
      side.insert(side.end(), ids.begin(), ids.end());
    } else if (reader.has("Sequence") && !text_seen &&
               reader.object("Sequence").string("id") == "A") {
      text_seen = true;
    } else {
      processor.fail("single", "special tokens around one Sequence \"A\"");
    }
  }
  if (!text_seen) processor.fail("single", "special tokens around one Sequence \"A\"");
  return result;
}

}  // namespace

PostProcessor PostProcessor::from_json(const Json& json, const std::string& where) {
  PostProcessor result;
  if (json.is_null()) return result;
  const JsonReader reader(json, where + ": post_processor");
  const std::string type = reader.string("type");
  if (type == "TemplateProcessing") return read_template(reader);
  if (type == "Sequence") {
    for (const Json& part : reader.array("processors")) {
      const PostProcessor inner = from_json(part, where);
      result.prefix.insert(result.prefix.begin(), inner.prefix.begin(), inner.prefix.end());
      result.suffix.insert(result.suffix.end(), inner.suffix.begin(), inner.suffix.end());
    }
  } else if (type != "ByteLevel") {
    reader.fail("type", "one of those implemented: ByteLevel, TemplateProcessing, Sequence");
  }
  return result;
}

}  // namespace foregate::text
