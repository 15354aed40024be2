#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace foregate::text {

/// How vocabularies spell bytes.

/// GPT-2's byte-level alphabet: every byte has a printable character, space being "Ġ" (U+0120), so
/// that a vocabulary can spell any bytes as text.

/// The UTF-8 spelling of `byte`.
const std::string& byte_spelling(unsigned char byte);

/// The bytes that `spelled` (valid UTF-8) stands for, or nothing if a character is not of the
/// alphabet.
std::optional<std::string> bytes_of_spelling(std::string_view spelled);

/// The bytes of a token of SentencePiece's alphabet: "▁" (U+2581) is a space and "<0xE2>" a byte.
std::string bytes_of_sentencepiece(std::string_view spelled);

}  // namespace foregate::text
