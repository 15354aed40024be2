#include "text/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <cctype>
#include <new>

#include "base/error.h"
#include "text/tokenizer/regex_syntax.h"

namespace foregate::text {
namespace {

std::string message_of(int error) {
  std::array<unsigned char, 256> buffer{};
  pcre2_get_error_message(error, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

struct Regex::Impl {
  struct FreeCode {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, FreeCode> code;
};

Regex::Regex(std::string_view pattern, const std::string& where) {
  compile(to_pcre2_pattern(pattern, where), pattern, where);
}

Regex Regex::of_characters(std::span<const CodePointRange> ranges) {
  std::string pattern = "[";
  for (const auto& [first, last] : ranges) {
    pattern += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<uint32_t>(first),
                           static_cast<uint32_t>(last));
  }
  Regex regex;
  regex.compile(pattern + "]", "a table of characters", "foregate");
  return regex;
}

Regex Regex::of_text(std::string_view text, const std::string& where) {
  std::string pattern;
  for (const char c : text) {
    if (std::ispunct(static_cast<unsigned char>(c))) pattern += '\\';
    pattern += c;
  }
  Regex regex;
  regex.compile(pattern, text, where);
  return regex;
}

void Regex::compile(const std::string& translated, std::string_view pattern,
                    const std::string& where) {
  impl_ = std::make_unique<Impl>();
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  impl_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()),
                                  translated.size(), PCRE2_UTF | PCRE2_UCP, &error, &offset,
                                  context.get()));
  if (!impl_->code) {
    throw DataError(fmt::format("{}: the regular expression \"{}\" is broken: {}", where, pattern,
                                message_of(error)));
  }
  uint32_t matches_empty = 0;
  pcre2_pattern_info(impl_->code.get(), PCRE2_INFO_MATCHEMPTY, &matches_empty);
  if (matches_empty != 0) {
    throw DataError(fmt::format(
        "{}: the regular expression \"{}\" can match an empty text, which is not supported", where,
        pattern));
  }
  // Without JIT (not every platform has it) the interpreter gives the same matches, only slower.
  pcre2_jit_compile(impl_->code.get(), PCRE2_JIT_COMPLETE);
}

Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Regex::Searcher::Searcher(const Regex& regex)
    : regex_(regex), match_data_(pcre2_match_data_create(1, nullptr)) {
  if (match_data_ == nullptr) throw std::bad_alloc();
}

Regex::Searcher::~Searcher() {
  pcre2_match_data_free(static_cast<pcre2_match_data*>(match_data_));
}

std::optional<Regex::Match> Regex::Searcher::find(std::string_view text, size_t from) {
  auto* match_data = static_cast<pcre2_match_data*>(match_data_);
  const auto search = [&](uint32_t options) {
    return pcre2_match(regex_.impl_->code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                       text.size(), from, options | PCRE2_NO_UTF_CHECK, match_data, nullptr);
  };
  int result = search(0);
  // The interpreter keeps its stack on the heap, where long texts fit.
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = search(PCRE2_NO_JIT);
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0) {
    throw DataError(
        fmt::format("a text of {} bytes cannot be split by the tokenizer's regular expression: {}",
                    text.size(), message_of(result)));
  }
  const size_t* offsets = pcre2_get_ovector_pointer(match_data);
  return Match{offsets[0], offsets[1]};
}

}  // namespace foregate::text
