/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What programs do with a DRM device: one function each, true if it worked.  fd, fb and so on
 * are those of a mode set.
 */

#ifndef DRM_USES_H
#define DRM_USES_H

/* As in drivers/gpu/drm/qxl/qxl_dev.h, after the release info: fill a rectangle with a colour */
struct qxl_fill_cmd {
	uint32_t surface_id;
	uint8_t effect, type, self_bitmap;
	int32_t self_bitmap_area[4];
	int32_t top, left, bottom, right;
	uint32_t clip_type;
	uint64_t clip_data;
	uint32_t mm_time;
	int32_t surfaces_dest[3];
	int32_t surfaces_rects[3][4];
	uint32_t brush_type, color;
	uint8_t pattern[12];
	uint16_t rop;
	uint8_t mask_flags;
	int32_t mask_pos[2];
	uint64_t mask_bitmap;
} __attribute__((packed));

#define QXL_CMD_DRAW		1
#define QXL_EFFECT_OPAQUE	1
#define QXL_DRAW_FILL		1
#define QXL_BRUSH_SOLID		1
#define QXL_ROP_PUT		(1 << 3)

/* EXECBUFFER, with a relocation: the number of a surface, which is not used as a source */
static bool exec_fill(int fd, uint32_t surface)
{
	struct qxl_fill_cmd fill = {
		.effect = QXL_EFFECT_OPAQUE, .type = QXL_DRAW_FILL, .bottom = 8, .right = 8,
		.surfaces_dest = { -1, -1, -1 }, .brush_type = QXL_BRUSH_SOLID, .color = 0xff8000,
		.rop = QXL_ROP_PUT,
	};
	struct drm_qxl_reloc reloc = {
		.dst_offset = 16 + __builtin_offsetof(struct qxl_fill_cmd, surface_id),
		.src_handle = surface, .reloc_type = QXL_RELOC_TYPE_SURF,
	};
	struct drm_qxl_command cmd = {
		.command = (uintptr_t)&fill, .command_size = sizeof(fill), .type = QXL_CMD_DRAW,
		.relocs = (uintptr_t)&reloc, .relocs_num = 1,
	};
	struct drm_qxl_execbuffer buf = { .commands_num = 1, .commands = (uintptr_t)&cmd };

	return !ioctl(fd, DRM_IOCTL_QXL_EXECBUFFER, &buf);
}

/* A buffer that is made, mapped, drawn into and given up */
static bool use_dumb(int fd)
{
	struct drm_mode_create_dumb dumb = { .width = 64, .height = 64, .bpp = 32 };
	struct drm_mode_destroy_dumb destroy = { 0 };
	struct drm_mode_map_dumb map = { 0 };
	volatile uint32_t *p;

	if (ioctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &dumb))
		return false;
	map.handle = destroy.handle = dumb.handle;
	if (ioctl(fd, DRM_IOCTL_MODE_MAP_DUMB, &map))
		return false;
	p = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, map.offset);
	if (p == MAP_FAILED)
		return false;
	p[0] = 1;
	munmap((void *)p, dumb.size);
	return !ioctl(fd, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy);
}

/* An object as a DMA buffer, or -1 */
static int export(int fd, uint32_t handle)
{
	struct drm_prime_handle prime = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };

	return ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) ? -1 : prime.fd;
}

/* Exported, and imported again: the same object */
static bool use_prime(int fd, uint32_t handle)
{
	struct drm_prime_handle prime = { .fd = export(fd, handle) };
	bool same;

	if (prime.fd < 0)
		return false;
	same = !ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime) && prime.handle == handle;
	close(prime.fd);
	return same;
}

static bool flip(int fd, uint32_t crtc, uint32_t fb)
{
	struct drm_mode_crtc_page_flip page = { .crtc_id = crtc, .fb_id = fb };

	return !ioctl(fd, DRM_IOCTL_MODE_PAGE_FLIP, &page) || errno == EBUSY;
}

/* The property @name of an object: its number, or 0 */
static uint32_t find_prop(int fd, uint32_t obj, uint32_t type, const char *name, uint64_t *value)
{
	uint32_t ids[64];
	uint64_t values[64];
	struct drm_mode_obj_get_properties props = {
		.props_ptr = (uintptr_t)ids, .prop_values_ptr = (uintptr_t)values,
		.count_props = 64, .obj_id = obj, .obj_type = type,
	};

	if (ioctl(fd, DRM_IOCTL_MODE_OBJ_GETPROPERTIES, &props))
		return 0;
	for (unsigned int i = 0; i < props.count_props; i++) {
		struct drm_mode_get_property prop = { .prop_id = ids[i] };

		if (ioctl(fd, DRM_IOCTL_MODE_GETPROPERTY, &prop) || strcmp(prop.name, name))
			continue;
		*value = values[i];
		return ids[i];
	}
	return 0;
}

/* The plane that shows @fb, and its property for that */
struct plane {
	uint32_t id, fb_prop;
};

static bool find_plane(int fd, uint32_t fb, struct plane *plane)
{
	struct drm_set_client_cap cap = { .capability = DRM_CLIENT_CAP_ATOMIC, .value = 1 };
	uint32_t ids[64];
	struct drm_mode_get_plane_res res = { .plane_id_ptr = (uintptr_t)ids, .count_planes = 64 };
	uint64_t value;

	if (ioctl(fd, DRM_IOCTL_SET_CLIENT_CAP, &cap) ||
	    ioctl(fd, DRM_IOCTL_MODE_GETPLANERESOURCES, &res))
		return false;
	for (unsigned int i = 0; i < res.count_planes; i++) {
		struct drm_mode_get_plane get = { .plane_id = ids[i] };

		if (ioctl(fd, DRM_IOCTL_MODE_GETPLANE, &get) || get.fb_id != fb)
			continue;
		plane->id = ids[i];
		plane->fb_prop = find_prop(fd, ids[i], DRM_MODE_OBJECT_PLANE, "FB_ID", &value);
		return plane->fb_prop;
	}
	return false;
}

static bool commit(int fd, const struct plane *plane, uint64_t fb)
{
	uint32_t one = 1;
	struct drm_mode_atomic atomic = {
		.count_objs = 1, .objs_ptr = (uintptr_t)&plane->id, .count_props_ptr = (uintptr_t)&one,
		.props_ptr = (uintptr_t)&plane->fb_prop, .prop_values_ptr = (uintptr_t)&fb,
	};

	return !ioctl(fd, DRM_IOCTL_MODE_ATOMIC, &atomic);
}

#endif /* DRM_USES_H */
