#pragma once

// Internal to trace/: what inference engines return with a request, as JSON.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "trace/import/tokens.h"

namespace foregate::trace {

/// What a record says about one text. Pointers lead into the document.
///
/// vLLM (docs/training/routed_experts*.md of vllm-project/vllm) puts `routed_experts` on each of
/// the `choices` (`outputs` in Python), and in some versions `prompt_routed_experts` beside them;
/// SGLang (docs/basic_usage) puts it into `meta_info`, or into `sgl_ext` of a choice.
struct EngineText {
  std::string where;              ///< file and line, with the choice if there are several
  const Json* routing = nullptr;  ///< nothing: the request was aborted, or is no request at all
  const Json* prompt_routing = nullptr;
  const Json* weights = nullptr;
  std::string dtype;  ///< of a bare base64 array; empty: int32
  int64_t start = 0;  ///< the rows begin at this token

  TokenList prompt;
  TokenList generated;
  TokenList all;                        ///< or a list that does not tell them apart
  std::optional<int64_t> prompt_count;  ///< tokens, as far as the record counts them
  std::optional<int64_t> generated_count;
  bool response = false;  ///< an engine's own answer, not lines made from it

  std::string dataset;  ///< empty if the record names none
  int64_t sample = -1;
  std::vector<std::string> unread;  ///< keys that hold routing and are not read
};

/// The texts of a document: one for each choice of a response. Throws DataError.
std::vector<EngineText> engine_texts(const Json& document, const std::string& where);

/// Whether the document is a text or a response, as engine_texts() reads them.
bool looks_like_engine_text(const Json& document);

}  // namespace foregate::trace
