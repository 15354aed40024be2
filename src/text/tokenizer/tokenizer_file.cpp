#include "text/tokenizer/tokenizer_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/containers/gguf_header.h"
#include "base/error.h"
#include "base/files.h"
#include "base/stand_in.h"
#include "text/tokenizer/formats/gguf_tokenizer.h"
#include "text/tokenizer/formats/tiktoken.h"

namespace foregate::text {
namespace {

constexpr uint64_t kMaxBytes = 512ULL << 20;

/// nlohmann's sorted objects: the ordered ones of base/json.h search linearly, which a vocabulary
/// of 150,000 keys turns into minutes.
using PlainJson = nlohmann::json;

PlainJson parse(const std::string& text, const std::string& where) {
  check_json_depth(text, where);
  try {
    return PlainJson::parse(text);
  } catch (const PlainJson::parse_error& error) {
    const bool cut_off = error.byte > text.size();
    throw DataError(fmt::format("{}: not valid JSON at byte {} of {}{}; copy the file again", where,
                                std::min(error.byte, text.size()), text.size(),
                                cut_off ? "; the file ends too early" : ""));
  } catch (const PlainJson::out_of_range&) {
    throw DataError(
        fmt::format("{}: a number is too large for any tokenizer; copy the file again", where));
  }
}

void read_vocabulary(const PlainJson& json, TokenizerFile& file) {
  const std::string where = file.where + ": model.vocab";
  if (!json.is_object()) {
    throw DataError(
        fmt::format("{} is of type {}; expected an object of token: id", where, json.type_name()));
  }
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_integer()) {
      throw DataError(fmt::format("{}: the id of \"{}\" is of type {}; expected an integer", where,
                                  token, id.type_name()));
    }
    file.vocabulary.add(token, id.get<int64_t>(), where);
  }
}

/// A merge is written "a b", or as the pair ["a", "b"] since tokens may hold spaces.
std::pair<std::string, std::string> read_merge(const PlainJson& json, size_t index,
                                               const std::string& where) {
  if (json.is_array() && json.size() == 2 && json[0].is_string() && json[1].is_string()) {
    return {json[0].get<std::string>(), json[1].get<std::string>()};
  }
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  throw DataError(fmt::format("{}: merge {} is {}; expected \"a b\" or [\"a\", \"b\"]", where,
                              index,
                              json.dump(-1, ' ', false, PlainJson::error_handler_t::replace)));
}

void read_merges(const PlainJson& json, TokenizerFile& file) {
  const std::string where = file.where + ": model.merges";
  if (!json.is_array()) {
    throw DataError(fmt::format("{} is of type {}; expected a list", where, json.type_name()));
  }
  file.merges.reserve(json.size());
  for (const PlainJson& merge : json) {
    file.merges.push_back(read_merge(merge, file.merges.size(), where));
  }
}

TokenizerFile read_tokenizer_json(const std::filesystem::path& path) {
  TokenizerFile file;
  file.where = path.string();
  const std::string content = read_file(path, kMaxBytes);
  refuse_web_page(content, file.where);
  PlainJson document = parse(content, file.where);
  if (!document.is_object() || !document.contains("model") || !document["model"].is_object()) {
    throw DataError(fmt::format(
        "{}: no 'model' object; expected a tokenizer.json of the Hugging Face tokenizers library",
        file.where));
  }
  PlainJson& model = document["model"];
  // Old files name no type.
  if (model.contains("type") && model["type"] != "BPE") {
    throw DataError(fmt::format("{}: model.type is {}; only \"BPE\" is supported", file.where,
                                model["type"].dump()));
  }
  read_vocabulary(std::exchange(model["vocab"], nullptr), file);
  read_merges(std::exchange(model["merges"], nullptr), file);
  file.document = std::make_shared<Json>(document);
  return file;
}

}  // namespace

const Json& TokenizerFile::component(const char* key) const {
  static const Json none;
  const auto found = document->find(key);
  return found == document->end() ? none : *found;
}

TokenizerFile TokenizerFile::read(const std::filesystem::path& path) {
  if (is_gguf_file(path)) return read_gguf_tokenizer(path);
  if (is_tiktoken_file(path)) return read_tiktoken(path);
  return read_tokenizer_json(path);
}

}  // namespace foregate::text
