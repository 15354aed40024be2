/* Expert-routing predictors of foregate for an inference engine, from C.
 *
 * A predictor directory, made by `foregate train`, is loaded once. Each sequence (request, beam)
 * that is being decoded gets a `foregate_sequence`, which is told what the model did: token ids,
 * routing decisions, hidden states. From that the predictor says which experts an MoE layer is
 * about to choose. Everything runs on the calling thread, on the CPU, without libtorch.
 *
 *   foregate_predictor *predictor;
 *   foregate_sequence *sequence;
 *   foregate_predictor_load("adapter", &predictor);
 *   foregate_sequence_create(predictor, &sequence);
 *   for each token:
 *     foregate_sequence_token(sequence, id);
 *     for each MoE layer, before its experts are needed:
 *       foregate_predict_best(&sequence, 1, layer, m, experts);       ... fetch these ...
 *     and as the model comes by:
 *       foregate_sequence_state(sequence, layer, hidden, FOREGATE_FLOAT32, hidden_size);
 *       foregate_sequence_routing(sequence, layer, chosen, top_k);
 *
 * What a predictor has no use for is checked and not kept; needs_... of foregate_predictor_info say
 * what may be left out. What each must have been told before it can predict, and the layout of a
 * predictor directory, are described in docs/c-api.md.
 *
 * Layers are MoE layers, counted from 0; dense layers in between do not count
 * (foregate_predictor_moe_layer() converts). "E" is the number of experts of an MoE layer, "k" the
 * number chosen.
 *
 * Errors: every function that can fail returns a foregate_status. If it is not FOREGATE_OK,
 * foregate_last_error() has one line that says what is wrong and where, outputs are untouched, and
 * a sequence is as it was before the call (after FOREGATE_OUT_OF_MEMORY: reset or free it). Null
 * pointers are refused, not followed.
 *
 * Threads: a predictor never changes and may be used by any number of threads at once. A sequence
 * may be used by one thread at a time; different sequences are independent. Handles may be freed in
 * any order: a sequence keeps what it needs of its predictor.
 *
 * Versions: within one FOREGATE_PREDICTOR_API_VERSION functions, enumerators and fields at the end
 * of foregate_predictor_info are added, nothing else changes. The shared library's soname carries
 * the version. */
#ifndef FOREGATE_PREDICTOR_H
#define FOREGATE_PREDICTOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FOREGATE_PREDICTOR_API_VERSION 1

typedef enum foregate_status {
  FOREGATE_OK = 0,
  FOREGATE_INVALID_ARGUMENT = 1, /* a null pointer, an index out of range, a wrong size */
  FOREGATE_NOT_FOUND = 2,        /* no such directory or file, or not readable */
  FOREGATE_BAD_DATA = 3,         /* a file is broken, truncated, or of a newer format version */
  FOREGATE_UNSUPPORTED = 4,      /* a kind of predictor that is not known here; no calibration */
  FOREGATE_NOT_OBSERVED = 5,     /* the sequence has not been told what this prediction needs */
  FOREGATE_OUT_OF_MEMORY = 6,
  FOREGATE_INTERNAL = 7 /* a bug of this library */
} foregate_status;

/* Of hidden states. */
typedef enum foregate_dtype {
  FOREGATE_FLOAT32 = 0,
  FOREGATE_BFLOAT16 = 1,
  FOREGATE_FLOAT16 = 2
} foregate_dtype;

typedef struct foregate_predictor foregate_predictor;
typedef struct foregate_sequence foregate_sequence;

typedef struct foregate_predictor_info {
  size_t struct_size;        /* set by the caller: sizeof(foregate_predictor_info) */
  const char* name;          /* "gate-adapter"; lives as long as the predictor */
  const char* lead;          /* "next-token", "layer-1", ..., "pre-attention"; the same */
  const char* model;         /* whose routing it predicts; the same */
  int32_t num_moe_layers;    /* L */
  int32_t num_experts;       /* E */
  int32_t top_k;             /* k */
  int32_t hidden_size;       /* 0 if unknown */
  int32_t vocab_size;        /* 0 if unknown */
  int32_t first_layer;       /* the first MoE layer that can be predicted: H of layer-H, else 0 */
  int32_t needs_token;       /* 1: foregate_sequence_token() matters to the scores */
  int32_t needs_routing;     /* 1: so does foregate_sequence_routing() */
  int32_t needs_state;       /* 1: so does foregate_sequence_state() */
  uint64_t weight_bytes;     /* of weights.safetensors, mapped into memory */
  int32_t has_probabilities; /* 1: the directory holds what turns scores into probabilities */
} foregate_predictor_info;

/* FOREGATE_PREDICTOR_API_VERSION of the library that is linked. */
int foregate_predictor_api_version(void);

/* What went wrong in this thread's latest call that failed, in one line; "" if none has. Valid
 * until the next call in this thread. Never null. */
const char* foregate_last_error(void);

/* "FOREGATE_BAD_DATA" and so on; "unknown status" for any other number. */
const char* foregate_status_name(int status);

/* Reads a predictor directory and checks all of it, the weights' digest included. The files are
 * mapped: they must not be changed while the predictor is in use. */
foregate_status foregate_predictor_load(const char* directory, foregate_predictor** predictor);

/* Null is allowed. */
void foregate_predictor_free(foregate_predictor* predictor);

/* Fills the first info->struct_size bytes. */
foregate_status foregate_predictor_get_info(const foregate_predictor* predictor,
                                            foregate_predictor_info* info);

/* The MoE layer that decoder layer `decoder_layer` is, -1 if it is a dense one. */
foregate_status foregate_predictor_moe_layer(const foregate_predictor* predictor,
                                             int32_t decoder_layer, int32_t* moe_layer);

/* A sequence without tokens. */
foregate_status foregate_sequence_create(const foregate_predictor* predictor,
                                         foregate_sequence** sequence);

/* Null is allowed. */
void foregate_sequence_free(foregate_sequence* sequence);

/* Back to a sequence without tokens, for the next text. Memory is kept. */
foregate_status foregate_sequence_reset(foregate_sequence* sequence);

/* Begins the next token: from here on routing, states and predictions are those of this token. */
foregate_status foregate_sequence_token(foregate_sequence* sequence, int32_t token_id);

/* What the current token's router decided at MoE layer `layer`: `experts` [count], highest gate
 * weight first, each named once; `count` must be k. Once a token and layer. */
foregate_status foregate_sequence_routing(foregate_sequence* sequence, int32_t layer,
                                          const int32_t* experts, size_t count);

/* The current token's hidden state at MoE layer `layer`: `values` [size] of `dtype` (a
 * foregate_dtype), copied; `size` must be the hidden size. For lead layer-H that is the router's
 * input (after the norm); for pre-attention the residual stream that enters the layer, before any
 * norm. A later call for the same token and layer replaces it. */
foregate_status foregate_sequence_state(foregate_sequence* sequence, int32_t layer,
                                        const void* values, int dtype, size_t size);

/* Scores of every expert of MoE layer `layer` for the current token of each of `count` sequences of
 * one predictor, the higher the likelier: `scores` [count][E]. They rank experts; they are no
 * probabilities. */
foregate_status foregate_predict_scores(foregate_sequence* const* sequences, size_t count,
                                        int32_t layer, float* scores);

/* The `m` highest-scored experts of each, likeliest first, equals by lowest index: `experts`
 * [count][m]; 1 <= m <= E. */
foregate_status foregate_predict_best(foregate_sequence* const* sequences, size_t count,
                                      int32_t layer, size_t m, int32_t* experts);

/* Probabilities that an expert of MoE layer `layer` will be among the k chosen, for the current
 * token of each of `count` sequences of one predictor: `probabilities` [count][E]. They were
 * calibrated on validation texts when the predictor was trained; a directory without that
 * (has_probabilities 0) is FOREGATE_UNSUPPORTED. */
foregate_status foregate_predict_probabilities(foregate_sequence* const* sequences, size_t count,
                                               int32_t layer, float* probabilities);

/* The experts of each that are at least as probable as `threshold` (0 to 1), likeliest first,
 * equals by lowest index: sequence i's are the first `found[i]` of row i of `experts` [count][E];
 * `found` [count] is 0 to E. The rest of a row is left as it is. Errors as above. */
foregate_status foregate_predict_at_least(foregate_sequence* const* sequences, size_t count,
                                          int32_t layer, float threshold, int32_t* experts,
                                          size_t* found);

#ifdef __cplusplus
}
#endif

#endif
