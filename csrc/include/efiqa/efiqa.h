/* efiqa for camera firmware: whether a frame of a fundus camera is good enough, where not, and why.
 *
 *   #include <efiqa/efiqa.h>
 *   #include <stdio.h>
 *
 *   int main(void) {
 *     char message[256];
 *     efiqa_runtime *runtime = NULL;
 *     if (efiqa_runtime_open(NULL, &runtime, message, sizeof message) != EFIQA_STATUS_OK) {
 *       fprintf(stderr, "%s\n", message);   // NULL options: the embedded model, all defaults
 *       return 1;
 *     }
 *     efiqa_frame frame;
 *     EFIQA_INIT(frame);                    // zeroes it and sets its struct_size
 *     frame.format = EFIQA_FORMAT_RGB8;
 *     frame.width_px = 1920;
 *     frame.height_px = 1080;
 *     frame.row_stride_bytes = 3 * 1920;
 *     frame.data = pixels;                  // yours, borrowed for the call
 *     frame.data_size_bytes = sizeof pixels;
 *     efiqa_report report;
 *     EFIQA_INIT(report);
 *     if (efiqa_runtime_assess(runtime, &frame, &report, message, sizeof message) ==
 * EFIQA_STATUS_OK) printf("%s, score %.2f\n", efiqa_verdict_name(report.verdict), report.score);
 *     else
 *       fprintf(stderr, "%s\n", message);   // report.verdict is EFIQA_VERDICT_UNKNOWN
 *     efiqa_runtime_close(&runtime);
 *     return 0;
 *   }
 *
 * Rules for all of it
 * - Every function that can fail returns an EFIQA_STATUS_ code. No exception leaves the library; it
 *   never prints, exits or aborts, and it uses no network.
 * - Every struct begins with struct_size; EFIQA_INIT sets it. Later versions append fields, and
 * each version touches the first struct_size bytes only. Zero is the default of every field. A
 * field that this library does not know yet is refused unless it is zero, never ignored.
 * - Codes are never renumbered. Treat one that you do not know as "unknown", never as good.
 * - `message` receives the reason of a failure as text, cut to message_size bytes with its NUL, or
 *   "" on success. It may be NULL. It names field, value, rule and fix; it is for a log, not for
 *   patients.
 * - A runtime belongs to one thread at a time. A second thread that enters meanwhile is turned away
 *   with EFIQA_STATUS_WRONG_THREAD at once. Different runtimes may run in parallel.
 * - Functions without a runtime may be called from any thread at any time and never block.
 * - Do not call pthread_cancel on a thread inside the library, and do not use a runtime in a child
 *   process after fork().
 */
#ifndef EFIQA_EFIQA_H_
#define EFIQA_EFIQA_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define EFIQA_API __attribute__((visibility("default")))
#else
#define EFIQA_API
#endif

/* Changes when a program that was built against an older header could no longer run. */
#define EFIQA_ABI_VERSION 1

/* Zeroes a struct of this header and sets its struct_size: EFIQA_INIT(options); */
#define EFIQA_INIT(object)                           \
  do {                                               \
    memset(&(object), 0, sizeof(object));            \
    (object).struct_size = (uint32_t)sizeof(object); \
  } while (0)

#ifdef __cplusplus
extern "C" {
#endif

enum {
  EFIQA_STATUS_OK = 0,
  EFIQA_STATUS_INVALID_ARGUMENT = 1,    /* an option, a buffer or a struct breaks its rule */
  EFIQA_STATUS_INVALID_FRAME = 2,       /* the frame's geometry, stride, format, size or pointer */
  EFIQA_STATUS_FILE_UNREADABLE = 3,     /* a model or contract file is missing or unreadable */
  EFIQA_STATUS_MODEL_INVALID = 4,       /* the model does not parse, or does not fit its contract */
  EFIQA_STATUS_CONTRACT_INVALID = 5,    /* garbled, incomplete, unknown, or of another model */
  EFIQA_STATUS_BACKEND_UNAVAILABLE = 6, /* this build or this machine does not have it */
  EFIQA_STATUS_ENGINE_FAILURE = 7,      /* the engine failed, or answered with NaN or infinity */
  EFIQA_STATUS_WRONG_THREAD = 8,        /* another thread is inside this runtime */
  EFIQA_STATUS_INTERNAL = 9,            /* a defect of efiqa itself; please report it */
  EFIQA_STATUS_DEADLINE = 10,           /* the frame took longer than options.deadline_ms */
  EFIQA_STATUS_OUT_OF_MEMORY = 12
};

enum {
  EFIQA_VERDICT_UNKNOWN = 0, /* no field of view, or the call failed */
  EFIQA_VERDICT_REJECT = 1,
  EFIQA_VERDICT_USABLE = 2,
  EFIQA_VERDICT_GOOD = 3
};

enum {
  EFIQA_REASON_NONE = 0,
  EFIQA_REASON_NO_FIELD_OF_VIEW = 1, /* nothing in the frame looks like a retina's field of view */
  EFIQA_REASON_LOW_ANATOMY_VISIBLE = 2 /* the score is below the limit for `usable` */
};

enum {
  EFIQA_SHAPE_NONE = 0,
  EFIQA_SHAPE_CIRCLE = 1,   /* a dark border around a circle, which straight edges may cut */
  EFIQA_SHAPE_RECTANGLE = 2 /* the retina fills the frame, or a box in it */
};

enum {
  EFIQA_FORMAT_RGB8 = 0,
  EFIQA_FORMAT_BGR8 = 1,
  EFIQA_FORMAT_GRAY8 = 2,
  EFIQA_FORMAT_RGBA8 = 3, /* the fourth byte is ignored */
  EFIQA_FORMAT_NV12 = 4, /* a plane of Y, and one of U and V at half the size; even width, height */
  EFIQA_FORMAT_YUYV = 5  /* Y0 U Y1 V for two pixels; even width */
};

enum { EFIQA_MATRIX_BT601 = 0, EFIQA_MATRIX_BT709 = 1 }; /* of NV12 and YUYV */
enum { EFIQA_RANGE_LIMITED = 0, EFIQA_RANGE_FULL = 1 };  /* Y 16..235 or 0..255 */
enum { EFIQA_MEMORY_HOST = 0, EFIQA_MEMORY_DEVICE = 1 }; /* device: of the engine */
enum { EFIQA_BACKEND_AUTO = 0, EFIQA_BACKEND_OPENVINO = 1, EFIQA_BACKEND_TENSORRT = 2 };
enum {
  EFIQA_COLORMAP_TURBO = 0,
  EFIQA_COLORMAP_INFERNO = 1,
  EFIQA_COLORMAP_VIRIDIS = 2,
  EFIQA_COLORMAP_RED = 3
};

typedef struct efiqa_runtime efiqa_runtime; /* one opened model, its threads and its buffers */

typedef struct efiqa_options {
  uint32_t struct_size;
  int32_t backend;             /* EFIQA_BACKEND_ */
  int32_t threads;             /* 1 to 256; 0: one per core this process may use, at most 4 */
  int32_t deadline_ms;         /* 1 to 60000; 0: none */
  int32_t allow_untrained;     /* 1 opens a model with random weights, for tests and timing */
  int32_t reserved;            /* 0 */
  const char* model_path;      /* ONNX file with its contract beside it; NULL: the embedded model */
  const char* operating_point; /* a name of the contract; NULL: the contract's default */
} efiqa_options;

typedef struct efiqa_frame {
  uint32_t struct_size;
  int32_t format;              /* EFIQA_FORMAT_ */
  int32_t width_px, height_px; /* 64 to 8192 */
  const uint8_t* data;         /* first byte of the top row; of NV12 the plane of Y */
  size_t data_size_bytes; /* that may be read from data on; a frame that needs more is refused */
  ptrdiff_t row_stride_bytes; /* from row to row, at least a row of pixels */
  const uint8_t* uv_data;     /* NV12: first byte of the plane of U and V; else ignored */
  size_t uv_size_bytes;
  ptrdiff_t uv_stride_bytes;
  int32_t matrix;   /* EFIQA_MATRIX_, of NV12 and YUYV; else ignored */
  int32_t range;    /* EFIQA_RANGE_, likewise */
  int32_t memory;   /* EFIQA_MEMORY_; device memory where the library was built with CUDA */
  int32_t reserved; /* 0 */
  void* stream;     /* device memory: the cudaStream_t that makes the frame; else NULL */
} efiqa_frame;

/* Coordinates are continuous frame pixels: pixel (i, j) covers [i, i+1) x [j, j+1). */
typedef struct efiqa_report {
  uint32_t struct_size;
  int32_t status;    /* what the call returned */
  int32_t verdict;   /* EFIQA_VERDICT_; unknown whenever status is not EFIQA_STATUS_OK */
  int32_t reason;    /* EFIQA_REASON_ */
  float score;       /* share of the field of view, 0..1, where anatomy can be expected to be seen;
                        NaN when the verdict is unknown */
  int32_t fov_shape; /* EFIQA_SHAPE_ */
  float fov_center_x_px, fov_center_y_px, fov_radius_px;
  float fov_left_px, fov_top_px, fov_right_px, fov_bottom_px; /* straight edges that cut it */
  float fov_visible_area_px;
  float fov_cut_fraction; /* 1 - visible area / area of the circle */
  int32_t frame_width_px, frame_height_px;
  int32_t crop_x_px, crop_y_px, crop_side_px; /* the square that the map covers */
  int32_t grid_width, grid_height;            /* of map and weights */
  int32_t region_count;                       /* see efiqa_region_read */
  float fov_ms, preprocess_ms, engine_ms, postprocess_ms, total_ms; /* where the time went */
  int32_t reserved;
  /* Both grid_height rows of grid_width. The runtime's, valid until its next assess or close; NULL
   * when the call failed. */
  const float* map;     /* probability that anatomy is NOT visible; NaN where the weight is 0 */
  const float* weights; /* share of the cell inside the field of view, 0..1 */
  /* What answered: texts of the runtime, valid until it is closed. NULL without a runtime. */
  const char* model_id;
  const char* model_sha256;
  const char* contract_sha256;
} efiqa_report;

/* A connected group of grid cells where anatomy is probably not visible. */
typedef struct efiqa_region {
  uint32_t struct_size;
  float x_px, y_px, width_px, height_px; /* box in frame pixels, within the frame */
  float area_share;                      /* of the visible field of view, 0..1 */
  float mean_probability;
  float clock_hour;      /* (0, 12], 12 = up, 3 = right in the frame; 0 when at the centre */
  float center_distance; /* 0 = centre of the field, 1 = its rim */
} efiqa_region;

typedef struct efiqa_info {
  uint32_t struct_size;
  int32_t threads;
  int32_t deadline_ms;                     /* 0: none */
  int32_t input_width_px, input_height_px; /* what the network sees */
  int32_t grid_width, grid_height;
  float good_min_score, usable_min_score; /* the limits behind the verdict */
  int32_t reserved;
  /* Texts of the runtime, valid until it is closed. */
  const char* model_id;
  const char* model_sha256; /* lower-case hexadecimal */
  const char* contract_sha256;
  const char* engine; /* "OpenVINO 2026.4.0 CPU f32, 2 threads" */
  const char* operating_point;
} efiqa_info;

typedef struct efiqa_overlay {
  uint32_t struct_size;
  int32_t colormap; /* EFIQA_COLORMAP_ */
  float max_alpha;  /* opacity at probability 1, up to 1, falling to 0 at probability 0; 0: 0.6 */
  int32_t reserved;
} efiqa_overlay;

/* EFIQA_ABI_VERSION of the library; a program may compare it with the header's. */
EFIQA_API int32_t efiqa_abi_version(void);
/* "0.1.0". Static, never NULL, as the other names. */
EFIQA_API const char* efiqa_library_version(void);
/* "invalid_frame", ...; "unrecognised" for a number outside the list. */
EFIQA_API const char* efiqa_status_name(int32_t status);
/* "unknown", "reject", "usable", "good"; "unknown" for a number outside the list. */
EFIQA_API const char* efiqa_verdict_name(int32_t verdict);
/* "", "no_field_of_view", "low_anatomy_visible"; "unrecognised" for a number outside the list. */
EFIQA_API const char* efiqa_reason_name(int32_t reason);
/* "none", "circle", "rectangle"; "unrecognised" for a number outside the list. */
EFIQA_API const char* efiqa_shape_name(int32_t shape);

/* Opens a model. Blocks for as long as that takes (0.1 s to seconds). `options` may be NULL: all
 * defaults; its strings are copied. On success *runtime is the caller's, to be closed; on failure
 * it is NULL. `runtime` must not be NULL. */
EFIQA_API int32_t efiqa_runtime_open(const efiqa_options* options, efiqa_runtime** runtime,
                                     char* message, size_t message_size);

/* Ends the runtime, frees all it owns and sets *runtime to NULL, so that closing again does
 * nothing, as does NULL. Blocks until its threads have ended. Returns EFIQA_STATUS_WRONG_THREAD,
 * and closes nothing, while another thread is inside. */
EFIQA_API int32_t efiqa_runtime_close(efiqa_runtime** runtime);

/* What was opened. Never blocks. Nothing may be NULL. */
EFIQA_API int32_t efiqa_runtime_describe(const efiqa_runtime* runtime, efiqa_info* info);

/* Assesses one frame. Blocks until *report is complete, or until the deadline. No heap allocation
 * by this library on success, once a frame of that size has been assessed. Nothing but `message`
 * may be NULL. On failure the report says EFIQA_VERDICT_UNKNOWN and NaN, and the runtime stays
 * usable. */
EFIQA_API int32_t efiqa_runtime_assess(efiqa_runtime* runtime, const efiqa_frame* frame,
                                       efiqa_report* report, char* message, size_t message_size);

/* Copies region `index` (0 to report.region_count - 1, largest first) of the last assessed frame.
 * Never blocks. Nothing may be NULL. Another index is EFIQA_STATUS_INVALID_ARGUMENT. */
EFIQA_API int32_t efiqa_region_read(efiqa_runtime* runtime, int32_t index, efiqa_region* region);

/* Draws the last report's map over its frame, which is passed again: RGB8 of the frame's size into
 * out[0 .. out_size_bytes), rows of out_stride_bytes. Blocks until that is done; allocates nothing
 * on success. Only `overlay` (all defaults) and `message` may be NULL. */
EFIQA_API int32_t efiqa_overlay_render(efiqa_runtime* runtime, const efiqa_frame* frame,
                                       const efiqa_overlay* overlay, uint8_t* out,
                                       size_t out_size_bytes, ptrdiff_t out_stride_bytes,
                                       char* message, size_t message_size);

#ifdef __cplusplus
}
#endif

#endif /* EFIQA_EFIQA_H_ */
