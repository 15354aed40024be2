#include "text/tokenizer/bpe_alphabet.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/tokenizer_file.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

/// Vocabularies made from a corpus (DeepSeek LLM's) have no token for bytes that no text holds.
bool occurs_in_utf8(unsigned byte) {
  return byte != 0xc0 && byte != 0xc1 && byte < 0xf5;
}

}  // namespace

BpeAlphabet BpeAlphabet::of_bytes(const TokenizerFile& file) {
  BpeAlphabet alphabet;
  alphabet.byte_level_ = true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::string& spelling = byte_spelling(static_cast<unsigned char>(byte));
    const auto id = file.vocabulary.find(spelling);
    if (!id && occurs_in_utf8(byte)) {
      throw DataError(
          fmt::format("{}: model.vocab has no token \"{}\", which byte 0x{:02x} in byte-level BPE "
                      "needs",
                      file.where, spelling, byte));
    }
    alphabet.byte_ids_[byte] = id.value_or(-1);
  }
  return alphabet;
}

BpeAlphabet BpeAlphabet::of_characters(const TokenizerFile& file) {
  const JsonReader model(file.component("model"), file.where + ": model");
  BpeAlphabet alphabet;
  alphabet.byte_ids_.fill(-1);
  alphabet.read_characters(file);
  if (model.boolean("byte_fallback", false)) alphabet.read_byte_tokens(file);
  alphabet.fuse_unknown_ = model.boolean("fuse_unk", false);
  if (model.has("unk_token")) {
    const auto id = file.vocabulary.find(model.string("unk_token"));
    if (!id) model.fail("unk_token", "a token of model.vocab");
    alphabet.unknown_ = *id;
  }
  return alphabet;
}

void BpeAlphabet::read_characters(const TokenizerFile& file) {
  for (int32_t id = 0; id < file.vocabulary.size(); ++id) {
    const std::string& token = file.vocabulary.token(id);
    if (token.empty()) continue;
    size_t end = 0;
    const char32_t code_point = next_code_point(token, end);
    if (end != token.size()) continue;
    if (code_point >= character_ids_.size()) character_ids_.resize(code_point + 1, -1);
    character_ids_[code_point] = id;
  }
}

void BpeAlphabet::read_byte_tokens(const TokenizerFile& file) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = file.vocabulary.find(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
}

bool BpeAlphabet::can_spell(std::string_view character) const {
  return std::ranges::all_of(character, [&](unsigned char byte) { return byte_ids_[byte] >= 0; });
}

bool BpeAlphabet::is_substitute(int32_t id) const {
  return !byte_level_ && (id == unknown_ || std::ranges::find(byte_ids_, id) != byte_ids_.end());
}

size_t BpeAlphabet::symbols_of(std::string_view word, std::span<int32_t> symbols) const {
  size_t count = 0;
  if (byte_level_) {
    for (const unsigned char byte : word) symbols[count++] = byte_ids_[byte];
    return count;
  }
  bool unknown_waits = false;
  for (size_t i = 0; i < word.size();) {
    const size_t start = i;
    const int32_t id = character_id(next_code_point(word, i));
    const std::string_view character = word.substr(start, i - start);
    if (id >= 0) {
      if (unknown_waits) symbols[count++] = unknown_;
      unknown_waits = false;
      symbols[count++] = id;
    } else if (can_spell(character)) {
      // An unknown character before this one goes on waiting, as in the tokenizers library.
      for (const unsigned char byte : character) symbols[count++] = byte_ids_[byte];
    } else if (unknown_ >= 0) {
      if (unknown_waits && !fuse_unknown_) symbols[count++] = unknown_;
      unknown_waits = true;
    }
  }
  if (unknown_waits) symbols[count++] = unknown_;
  return count;
}

}  // namespace foregate::text
